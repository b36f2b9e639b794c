// Slack's mrkdwn, and a little Markdown for `markdown` blocks, as DOM nodes.
import { dateText } from "./dates.js";
import { h, link } from "./dom.js";
import { emoji } from "./emoji.js";

const unescape = (text) => text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");

// `names` finds people, groups and channels; see app.js.
export function userMention(id, names) {
  const user = names.user(id);
  return h("span", { class: `mention${id === names.me() ? " me" : ""}` }, `@${user ? names.short(user) : id}`);
}

export function groupMention(id, names) {
  const group = names.group(id);
  const mine = group?.users.includes(names.me());
  const title = group ? `${group.name}: ${group.users.map((one) => names.user(one)?.real_name).join(", ")}` : null;
  return h("span", { class: `mention${mine ? " me" : ""}`, title }, `@${group ? group.handle : id}`);
}

export const broadcast = (range) => h("span", { class: "mention me" }, `@${range}`);

export function channelMention(id, names) {
  const channel = names.channel(id);
  return channel ? h("a", { class: "mention", href: `#${id}` }, `#${channel.name}`) : h("span", { class: "mention" }, `#${id}`);
}

export function emojiNode(name, unicode) {
  const sign = unicode ?? emoji(name);
  return sign ? h("span", { class: "emoji", role: "img", "aria-label": name.replace(/_/g, " ") }, sign) : `:${name}:`;
}

function reference(inside, names) {
  const [target, label] = inside.split(/\|(.*)/s);
  if (target.startsWith("@")) return userMention(target.slice(1), names);
  if (target.startsWith("#")) return channelMention(target.slice(1), names);
  if (target.startsWith("!subteam^")) return groupMention(target.slice(9), names);
  if (["!here", "!channel", "!everyone"].includes(target)) return broadcast(target.slice(1));
  if (target.startsWith("!date^")) return h("time", { title: unescape(label ?? "") }, dateText(target, unescape(label ?? target)));
  return link(unescape(target), unescape(label ?? target));
}

const edge = "(?<![\\w*_~`])";
const after = "(?![\\w*_~`])";
const INLINE = new RegExp(
  [
    "<(?<ref>[@#!]?[^<>\\n]+)>",
    "`(?<code>[^`\\n]+)`",
    `${edge}\\*(?<bold>\\S(?:[^\\n]*?\\S)?)\\*${after}`,
    `${edge}_(?<italic>\\S(?:[^\\n]*?\\S)?)_${after}`,
    `${edge}~(?<strike>\\S(?:[^\\n]*?\\S)?)~${after}`,
    ":(?<emoji>[a-z0-9_+'-]+(?:::skin-tone-\\d)?):",
    "(?<url>https?://[^\\s<>|\"']*[^\\s<>|\"'.,;:!?)\\]}`*_~])",
  ].join("|"),
  "g",
);

export function inline(text, names) {
  const nodes = [];
  let position = 0;
  for (const found of text.matchAll(INLINE)) {
    if (found.index > position) nodes.push(unescape(text.slice(position, found.index)));
    position = found.index + found[0].length;
    const part = found.groups;
    if (part.ref !== undefined) nodes.push(reference(part.ref, names));
    else if (part.code !== undefined) nodes.push(h("code", {}, unescape(part.code)));
    else if (part.bold !== undefined) nodes.push(h("strong", {}, inline(part.bold, names)));
    else if (part.italic !== undefined) nodes.push(h("em", {}, inline(part.italic, names)));
    else if (part.strike !== undefined) nodes.push(h("s", {}, inline(part.strike, names)));
    else if (part.emoji !== undefined) nodes.push(emojiNode(part.emoji));
    else nodes.push(link(unescape(part.url), unescape(part.url)));
  }
  if (position < text.length) nodes.push(unescape(text.slice(position)));
  return nodes;
}

export function preformatted(text) {
  return h("pre", { tabindex: "0" }, h("code", {}, text));
}

export function mrkdwn(text, names) {
  const nodes = [];
  text.split(/```\n?([\s\S]+?)\n?```/).forEach((part, index) => {
    if (index % 2) nodes.push(preformatted(unescape(part)));
    else if (part.trim()) nodes.push(...paragraphs(part.replace(/^\n|\n$/g, ""), names));
  });
  return nodes;
}

function paragraphs(text, names) {
  const groups = [];
  for (const line of text.split("\n")) {
    const quoted = line.match(/^(?:&gt;|>) ?(.*)$/);
    const kind = quoted ? "quote" : "plain";
    if (groups.at(-1)?.kind !== kind) groups.push({ kind, lines: [] });
    groups.at(-1).lines.push(quoted ? quoted[1] : line);
  }
  return groups.map(({ kind, lines }) => h(kind === "quote" ? "blockquote" : "div", { class: "text" }, inline(lines.join("\n"), names)));
}

// Markdown, as far as a model writes it in a sentence or two: headings, lists, quotes, fences and inline styles.
export function markdown(text, names) {
  const nodes = [];
  text.split(/```[^\n]*\n([\s\S]*?)\n?```/).forEach((part, index) => {
    if (index % 2) return nodes.push(preformatted(part));
    for (const line of part.split("\n")) {
      if (!line.trim()) continue;
      const heading = line.match(/^#{1,6} (.*)$/);
      const item = line.match(/^\s*(?:[-*]|(\d+)\.) (.*)$/);
      const quote = line.match(/^> ?(.*)$/);
      if (heading) nodes.push(h("div", { class: "text md-heading" }, inlineMarkdown(heading[1], names)));
      else if (item) nodes.push(h("div", { class: "text md-item" }, `${item[1] ? `${item[1]}.` : "•"} `, inlineMarkdown(item[2], names)));
      else if (quote) nodes.push(h("blockquote", { class: "text" }, inlineMarkdown(quote[1], names)));
      else nodes.push(h("div", { class: "text" }, inlineMarkdown(line, names)));
    }
    return null;
  });
  return nodes;
}

function inlineMarkdown(text, names) {
  const nodes = [];
  let position = 0;
  for (const found of text.matchAll(/\*\*(.+?)\*\*|\[([^\]]+)\]\(([^()\s]+)\)/g)) {
    nodes.push(inline(text.slice(position, found.index), names));
    nodes.push(found[1] !== undefined ? h("strong", {}, inline(found[1], names)) : link(found[3], found[2]));
    position = found.index + found[0].length;
  }
  nodes.push(inline(text.slice(position), names));
  return nodes;
}
