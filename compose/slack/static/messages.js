// One message as DOM, and lists of them.
import { blocks } from "./blocks.js";
import { h, link } from "./dom.js";
import { emojiNode, mrkdwn } from "./mrkdwn.js";

const GROUPED = 5 * 60; // seconds within which one author's messages stand together

export const seconds = (ts) => Number(ts.split(".")[0]);
const date = (ts) => new Date(seconds(ts) * 1000);
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
export const timeOf = (ts) => clock.format(date(ts));

export function avatar(user, small) {
  const initials = user.is_slackbot ? "S" : user.real_name.split(" ").map((part) => part[0]).slice(0, 2).join("");
  const classes = `avatar${small ? " small" : ""}`;
  if (user.is_bot) return h("img", { class: classes, src: "/static/operator.svg", alt: "" });
  return h("span", { class: classes, color: user.color, "aria-hidden": "true" }, initials);
}

export function messageNode(message, context, { compact = false, thread = false } = {}) {
  const { names } = context;
  const user = names.user(message.user) ?? { id: message.user, real_name: message.user, color: "#64748b" };
  const time = timeOf(message.ts);
  const me = names.me();
  const called = message.notifies.includes(me);
  const tombstone = message.subtype === "tombstone";
  const classes = ["message", compact && "compact", called && "called", message.ephemeral && "ephemeral", message.subtype && "system"];
  const permalink = `#${message.channel}/p${message.ts.replace(".", "")}`;
  const stamp = h("a", { class: "time", href: permalink, title: full.format(date(message.ts)), "aria-label": `Sent at ${time}, link to this message` }, time);
  const edited = message.edited && !message.blocks?.length && h("span", { class: "edited", title: `edited at ${timeOf(message.edited.ts)}` }, "(edited)");
  return h(
    "article",
    {
      class: classes.filter(Boolean).join(" "),
      id: `${thread ? "t" : "m"}${message.ts}`,
      "data-ts": message.ts,
      "data-user": message.user,
      "aria-label": `${user.real_name}, ${time}`,
    },
    h("div", { class: "gutter" }, compact ? stamp : avatar(user)),
    h(
      "div",
      { class: "body" },
      message.ephemeral && h("div", { class: "only-you" }, "Only visible to you"),
      !compact &&
        h(
          "div",
          { class: "byline" },
          h("span", { class: "author" }, user.real_name),
          user.is_bot && h("span", { class: "badge" }, "app"),
          user.is_restricted && h("span", { class: "badge" }, "guest"),
          stamp,
        ),
      content(message, context, tombstone),
      edited,
      reactions(message, names),
      !thread && summary(message, context),
    ),
    !thread && !message.ephemeral && !message.reply_count && !tombstone &&
      h("div", { class: "hover" }, h("a", { class: "hover-button", href: permalink, "aria-label": "Reply in a thread" }, "↳ Reply")),
  );
}

function content(message, context, tombstone) {
  if (tombstone) return h("div", { class: "text muted" }, message.text);
  const own = {
    ...context,
    stateOf: (action, block) => context.buttons.get(message, action, block),
    press: (element, block, value) => context.buttons.press(message, element, block, value),
  };
  const main = message.blocks?.length ? blocks(message.blocks, own) : mrkdwn(message.text, context.names);
  return [main, (message.attachments ?? []).map((one) => attachment(one, own))];
}

function attachment(one, context) {
  const color = /^#?[0-9a-f]{6}$/i.test(one.color ?? "") ? `#${one.color.replace("#", "")}` : null;
  return h(
    "div",
    { class: "attachment", color },
    one.title && h("div", { class: "author" }, one.title_link ? link(one.title_link, one.title) : one.title),
    Array.isArray(one.blocks) ? blocks(one.blocks, context) : mrkdwn(one.text ?? one.fallback ?? "", context.names),
  );
}

function reactions(message, names) {
  if (!message.reactions?.length) return null;
  return h(
    "div",
    { class: "reactions" },
    message.reactions.map((one) => h("span", { class: "reaction", title: one.users.map((user) => names.user(user)?.real_name).join(", ") }, emojiNode(one.name), ` ${one.count}`)),
  );
}

function summary(message, { names }) {
  if (!message.reply_count) return null;
  const replies = message.reply_count === 1 ? "1 reply" : `${message.reply_count} replies`;
  const users = message.reply_users.map((one) => names.user(one)).filter(Boolean);
  return h(
    "a",
    { class: "summary", href: `#${message.channel}/p${message.ts.replace(".", "")}`, "aria-label": `${replies}, open the thread` },
    h("span", { class: "faces" }, users.slice(0, 4).map((one) => avatar(one, true))),
    h("span", { class: "count" }, replies),
    h("span", { class: "last" }, `last at ${timeOf(message.latest_reply)}`),
  );
}

const keys = new WeakMap(); // what each drawn node shows

// Shows `messages` (oldest first) in `list`, reusing what did not change, so that focus and selection stay.
export function drawList(list, messages, context, { thread = false, unreadAfter = null } = {}) {
  const old = new Map([...list.children].map((node) => [keys.get(node), node]));
  const wanted = [];
  let previous = null;
  let marked = false;
  const put = (key, make) => {
    const node = old.get(key) ?? make();
    keys.set(node, key);
    wanted.push(node);
  };
  messages.forEach((message, index) => {
    const label = day.format(date(message.ts));
    const newDay = !previous || day.format(date(previous.ts)) !== label;
    if (newDay && !thread) put(`day ${label}`, () => h("div", { class: "day" }, h("span", {}, label)));
    if (unreadAfter && !marked && !message.ephemeral && message.ts > unreadAfter && message.user !== context.names.me()) {
      marked = true;
      put("unread", () => h("div", { class: "unread-line" }, h("span", {}, "New")));
    }
    const compact = !newDay && !(thread && index === 1) && previous.user === message.user && !previous.ephemeral === !message.ephemeral && !message.subtype === !previous.subtype && seconds(message.ts) - seconds(previous.ts) < GROUPED && !previous.reply_count;
    const key = `${message.ts} ${compact} ${context.names.me()} ${context.buttons.version(message)} ${JSON.stringify(message)}`;
    put(key, () => messageNode(message, context, { compact, thread }));
    if (thread && index === 0) {
      const count = messages.filter((one) => !one.ephemeral).length - 1;
      put(`count ${count}`, () => h("div", { class: "day" }, h("span", {}, count === 0 ? "No replies yet" : count === 1 ? "1 reply" : `${count} replies`)));
    }
    previous = message;
  });
  const focused = list.contains(document.activeElement) ? document.activeElement : null;
  const place = focused && { ts: focused.closest("[data-ts]")?.dataset.ts, action: focused.dataset.action, href: focused.getAttribute("href") };
  const kept = new Set(wanted);
  for (const node of [...list.children]) if (!kept.has(node)) node.remove();
  wanted.forEach((node, index) => {
    if (list.children[index] !== node) list.insertBefore(node, list.children[index] ?? null);
  });
  if (focused && !focused.isConnected && place.ts) refocus(list, place);
}

function refocus(list, { ts, action, href }) {
  const again = list.querySelector(`[data-ts="${ts}"]`);
  if (!again) return list.focus({ preventScroll: true });
  const same = [...again.querySelectorAll("button, a, select")].find((one) => (action ? one.dataset.action === action : one.getAttribute("href") === href));
  return (same ?? list).focus({ preventScroll: true });
}
