// Block Kit as DOM nodes. Buttons report to `press(element, block, value)`, which tells how the app took it.
import { h, link, safeUrl } from "./dom.js";
import { broadcast, channelMention, emojiNode, groupMention, inline, markdown, mrkdwn, preformatted, userMention } from "./mrkdwn.js";

const plain = (object) => (object.emoji === false ? object.text : object.text.split(/(:[a-z0-9_+-]+:)/).map((part) => (/^:.+:$/.test(part) ? emojiNode(part.slice(1, -1)) : part)));

export function textObject(object, names) {
  return object.type === "mrkdwn" ? mrkdwn(object.text, names) : h("div", { class: "text" }, plain(object));
}

export function blocks(list, context) {
  return list.map((block) => {
    const draw = BLOCKS[block.type];
    if (!draw) return h("div", { class: "unknown" }, `${block.type} block (not shown here)`);
    return h("div", { class: `block block-${block.type}` }, draw(block, context));
  });
}

const BLOCKS = {
  header: (block) => h("h3", {}, plain(block.text)),
  divider: () => h("hr"),
  section: (block, context) => [
    h(
      "div",
      { class: "section-main" },
      block.text && textObject(block.text, context.names),
      block.fields && h("div", { class: "fields" }, block.fields.map((field) => h("div", { class: "field" }, textObject(field, context.names)))),
    ),
    block.accessory && h("div", { class: "accessory" }, element(block.accessory, block, context)),
  ],
  context: (block, context) => block.elements.map((one) => (one.type === "image" ? image(one) : h("span", { class: "context-item" }, one.type === "mrkdwn" ? inline(one.text, context.names) : plain(one)))),
  actions: (block, context) => h("div", { class: "actions", role: "group", "aria-label": "Actions" }, block.elements.map((one) => element(one, block, context))),
  image: (block) => h("figure", {}, block.title && h("figcaption", {}, plain(block.title)), image(block)),
  markdown: (block, context) => markdown(block.text, context.names),
  rich_text: (block, context) => block.elements.map((one) => rich(one, context.names)),
};

// Nothing is loaded from outside, so a picture is its description and a link.
function image(block) {
  return h("span", { class: "image" }, "🖼 ", block.image_url ? link(block.image_url, block.alt_text) : block.alt_text);
}

function rich(part, names) {
  const inside = () => part.elements.map((one) => richInline(one, names));
  switch (part.type) {
    case "rich_text_preformatted":
      return preformatted(part.elements.map((one) => one.text ?? one.url ?? "").join(""));
    case "rich_text_quote":
      return h("blockquote", { class: "text" }, inside());
    case "rich_text_list":
      return h(part.style === "ordered" ? "ol" : "ul", { class: `rich-list indent-${part.indent ?? 0}`, start: part.offset ? part.offset + 1 : null }, part.elements.map((item) => h("li", {}, item.elements.map((one) => richInline(one, names)))));
    default:
      return h("div", { class: "text" }, inside());
  }
}

function richInline(one, names) {
  let node;
  switch (one.type) {
    case "link": node = link(one.url, one.text || one.url); break;
    case "emoji": node = emojiNode(one.name); break;
    case "user": node = userMention(one.user_id, names); break;
    case "usergroup": node = groupMention(one.usergroup_id, names); break;
    case "channel": node = channelMention(one.channel_id, names); break;
    case "broadcast": node = broadcast(one.range); break;
    case "date": node = one.fallback ?? new Date(one.timestamp * 1000).toLocaleString(); break;
    default: node = one.text ?? one.value ?? "";
  }
  const style = one.style ?? {};
  if (style.code) node = h("code", {}, node);
  if (style.bold) node = h("strong", {}, node);
  if (style.italic) node = h("em", {}, node);
  if (style.strike) node = h("s", {}, node);
  return node;
}

function element(one, block, context) {
  if (one.type === "button") return button(one, block, context);
  if (one.type === "static_select" || one.type === "overflow") return menu(one, block, context);
  if (one.type === "image") return image(one);
  return h("span", { class: "unknown" }, one.type);
}

const STATES = { pending: "sending…", acked: "sent", failed: "the app did not respond" };

function button(one, block, context) {
  const state = context.stateOf(one.action_id, block.block_id);
  const node = h(
    "button",
    {
      type: "button",
      class: `button${one.style ? ` ${one.style}` : ""}`,
      "data-state": state,
      "data-action": one.action_id,
      "aria-busy": state === "pending" ? "true" : null,
      "aria-label": one.accessibility_label ?? null,
      title: state ? STATES[state] : null,
      onclick: async () => {
        if (state === "pending") return;
        const url = one.url && safeUrl(one.url);
        if (url) window.open(url, "_blank", "noopener,noreferrer");
        await context.press(one, block, null);
      },
    },
    h("span", {}, plain(one.text)),
  );
  return h("span", { class: "button-place" }, node, state === "failed" && h("span", { class: "button-note", role: "alert" }, "⚠ the app did not respond"));
}

function menu(one, block, context) {
  const groups = one.option_groups ?? [{ options: one.options }];
  const label = one.placeholder?.text ?? (one.type === "overflow" ? "More" : "Choose");
  const options = groups.map((group) => {
    const listed = group.options.map((option) => h("option", { value: option.value, selected: one.initial_option?.value === option.value }, option.text.text));
    return group.label ? h("optgroup", { label: group.label.text }, listed) : listed;
  });
  return h(
    "select",
    { class: "menu", "aria-label": label, "data-action": one.action_id, onchange: (event) => event.target.value && context.press(one, block, event.target.value) },
    !one.initial_option && h("option", { value: "" }, one.type === "overflow" ? "⋯" : label),
    options,
  );
}
