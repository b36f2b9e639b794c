// The page: who acts, which channel and thread are open, and what changes live.
import { composer } from "./composer.js";
import { $, announce, getJson, h, postJson } from "./dom.js";
import { drawList } from "./messages.js";
import { startWorld } from "./world.js";

const RECONNECT = [250, 500, 1000, 2000, 5000]; // ms
const ACKED_SHOWN = 1800; // ms

let state = null; // what /page/state says
let me = sessionStorage.getItem("acting-as") ?? "";
let route = { channel: null, ts: null };
let channelMessages = new Map();
let loaded = { channel: null, me: "", stale: true }; // whose messages of which channel are shown
let thread = null; // { parent, messages: Map }
let unreadAfter = null;
let socket = null;
let tries = 0;
let asked = 0; // how often the state was asked for; only the newest answer counts
let changes = 0; // how many messages came, changed or went live
let generation = 0; // of what is being loaded; an answer to an older question is dropped

const SLACKBOT = { id: "USLACKBOT", real_name: "Slackbot", color: "#64748b", is_slackbot: true };
const names = {
  me: () => me,
  user: (id) => (id === "USLACKBOT" ? SLACKBOT : state.users.find((one) => one.id === id)),
  short: (user) => (user.is_bot ? user.real_name : user.real_name.split(" ")[0]),
  group: (id) => state.usergroups.find((one) => one.id === id),
  channel: (id) => state?.channels.find((one) => one.id === id),
};

// Buttons: pressed → pending → acked or failed, kept apart from the nodes because a message may be drawn anew.
const pressed = new Map();
const buttons = {
  key: (message, action, block) => `${message.channel} ${message.ts} ${block} ${action}`,
  get: (message, action, block) => pressed.get(buttons.key(message, action, block)),
  version: (message) => [...pressed].filter(([key]) => key.startsWith(`${message.channel} ${message.ts} `)).join(),
  set(key, value) {
    if (value) pressed.set(key, value);
    else pressed.delete(key);
    draw();
  },
  async press(message, element, block, value) {
    const option = element.options?.find((one) => one.value === value);
    if (element.confirm && !(await confirm(element.confirm))) return;
    const key = buttons.key(message, element.action_id, block.block_id);
    const label = element.text?.text ?? option?.text.text ?? "Choice";
    buttons.set(key, "pending");
    let outcome = "failed";
    try {
      const result = await postJson("/page/act", { user: me, action: "click", channel: message.channel, ts: message.ts, action_id: element.action_id, block_id: block.block_id, value });
      if (result.acked) outcome = "acked";
    } catch (error) {
      announce(error.message);
    }
    buttons.set(key, outcome);
    announce(outcome === "acked" ? `${label}: sent` : `${label}: the app did not respond`);
    setTimeout(() => pressed.get(key) === outcome && buttons.set(key, null), outcome === "acked" ? ACKED_SHOWN : ACKED_SHOWN * 4);
  },
};
const context = { names, buttons };

function confirm(asked) {
  const dialog = $("confirm");
  $("confirm-title").textContent = asked.title.text;
  $("confirm-text").textContent = asked.text.text;
  const ok = $("confirm-ok");
  ok.textContent = asked.confirm.text;
  ok.className = `button ${asked.style ?? "primary"}`;
  $("confirm-deny").textContent = asked.deny.text;
  return new Promise((resolve) => {
    const done = (answer) => () => { dialog.close(); resolve(answer); };
    ok.onclick = done(true);
    $("confirm-deny").onclick = done(false);
    dialog.oncancel = () => resolve(false);
    dialog.showModal();
    $("confirm-deny").focus();
  });
}

// Drawing

function draw() {
  if (!state) return;
  drawSide();
  const channel = names.channel(route.channel);
  if (!channel) return;
  const name = nameOf(channel);
  $("channel-name").textContent = channel.is_im ? name : `# ${name}`;
  $("channel-topic").textContent = channel.topic;
  $("channel-members").textContent = channel.is_im ? "" : `${channel.members.length} members`;
  $("thread-channel").textContent = channel.is_im ? name : `#${name}`;
  const list = $("messages");
  keepingBottom(list, () => drawList(list, sorted(channelMessages), context, { unreadAfter }));
  if (!channelMessages.size) list.replaceChildren(h("p", { class: "empty" }, "Nothing here yet. When something breaks, its thread appears in this channel."));
  $("thread").hidden = thread === null;
  $("app").classList.toggle("with-thread", thread !== null);
  if (thread) keepingBottom($("replies"), () => drawList($("replies"), sorted(thread.messages), context, { thread: true }));
  const calls = state.channels.reduce((sum, one) => sum + one.mentions, 0);
  document.title = `${calls ? `(${calls}) ` : ""}${channel.is_im ? "" : "#"}${name} · local Slack (stand-in)`;
}

const nameOf = (channel) => (channel.is_im ? channel.members.filter((one) => one !== me).map((one) => names.user(one)?.real_name).join(", ") : channel.name);
const sorted = (messages) => [...messages.values()].sort((one, other) => (one.ts < other.ts ? -1 : 1));

function drawSide() {
  $("team").textContent = state.team.name;
  for (const [id, direct] of [["channels", false], ["directs", true]]) {
    const rows = state.channels.filter((one) => one.is_im === direct);
    $(id).replaceChildren(...rows.map(channelRow));
    if (direct) $("directs-title").hidden = rows.length === 0;
  }
  const select = $("acting-as");
  if (document.activeElement !== select || !select.options.length) {
    const people = state.users.filter((one) => !one.is_bot);
    select.replaceChildren(...people.map((one) => h("option", { value: one.id, selected: one.id === me }, one.title ? `${one.real_name} · ${one.title}` : one.real_name)));
  }
  const here = state.connections > 0;
  $("app-state").className = `app-state ${here ? "on" : "off"}`;
  $("app-state").textContent = here ? "Operator is connected" : "No app is connected";
}

function channelRow(channel) {
  const here = channel.id === route.channel;
  const count = channel.mentions || channel.unread;
  const label = [nameOf(channel), channel.mentions && `${channel.mentions} mention${channel.mentions === 1 ? "" : "s"}`, channel.unread && `${channel.unread} unread`].filter(Boolean).join(", ");
  return h(
    "li",
    {},
    h(
      "a",
      { href: `#${channel.id}`, class: channel.unread || channel.mentions ? "fresh" : "", "aria-current": here ? "page" : null, "aria-label": label },
      h("span", { class: "hash", "aria-hidden": "true" }, channel.is_im ? "●" : "#"),
      h("span", { class: "name" }, nameOf(channel)),
      count > 0 && h("span", { class: `pill${channel.mentions ? " call" : ""}` }, count),
    ),
  );
}

function keepingBottom(list, change) {
  const near = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  change();
  if (near) list.scrollTop = list.scrollHeight;
}

// Loading

async function loadState() {
  const mine = ++asked;
  const answer = await getJson(`/page/state?user=${encodeURIComponent(me)}`);
  if (mine !== asked) return;
  state = answer;
  me = state.me;
  sessionStorage.setItem("acting-as", me);
}

function readRoute() {
  const found = decodeURIComponent(location.hash).match(/^#([CD]\w+)(?:\/p(\d{10})(\d{6}))?/);
  const first = state.channels.find((one) => one.name === "incidents") ?? state.channels[0];
  const channel = found && names.channel(found[1]) ? found[1] : first.id;
  return { channel, ts: found?.[2] && channel === found[1] ? `${found[2]}.${found[3]}` : null };
}

async function show({ fresh = false } = {}) {
  const mine = ++generation;
  if (fresh) loaded = { ...loaded, stale: true };
  route = readRoute();
  const query = `user=${me}&channel=${route.channel}`;
  const seen = changes;
  const moved = loaded.channel !== route.channel || loaded.me !== me;
  const [top, below] = await Promise.all([
    moved || loaded.stale ? getJson(`/page/channel?${query}`) : null,
    route.ts ? getJson(`/page/thread?${query}&ts=${route.ts}`).catch(() => null) : null,
  ]);
  if (mine !== generation) return null;
  if (seen !== changes) return show({ fresh: true }); // something came while this was loading: it may be older
  if (top) {
    channelMessages = new Map(top.messages.map((one) => [one.ts, one]));
    loaded = { channel: route.channel, me, stale: false };
  }
  if (moved) {
    unreadAfter = names.channel(route.channel).read;
    $("messages").replaceChildren();
  }
  const opened = below && (moved || thread?.parent !== below.messages[0].ts);
  thread = below && { parent: below.messages[0].ts, messages: new Map(below.messages.map((one) => [one.ts, one])) };
  if (opened) $("replies").replaceChildren();
  draw();
  composers.channel.refresh();
  composers.thread.refresh();
  if (moved) $("messages").scrollTop = $("messages").scrollHeight;
  if (opened) {
    $("replies").scrollTop = $("replies").scrollHeight;
    $("thread-name").focus({ preventScroll: true });
  }
  if (route.ts) point(route.ts);
  $("app").classList.remove("side-open");
  markRead();
  return null;
}

function point(ts) {
  document.querySelectorAll(".pointed").forEach((one) => one.classList.remove("pointed"));
  for (const id of [`m${thread?.parent ?? ts}`, `t${ts}`]) {
    const node = document.getElementById(id);
    if (!node) continue;
    if (ts !== thread?.parent || id.startsWith("m")) node.classList.add("pointed");
    if (ts !== thread?.parent) node.scrollIntoView({ block: "nearest" });
  }
}

function markRead() {
  if (document.hidden) return;
  const newest = [...channelMessages.values(), ...(thread?.messages.values() ?? [])].filter((one) => !one.ephemeral).flatMap((one) => [one.ts, one.latest_reply ?? ""]).sort().at(-1);
  const channel = names.channel(route.channel);
  if (!newest || !channel || newest <= channel.read) return;
  channel.read = newest;
  postJson("/page/read", { user: me, channel: route.channel, ts: newest }).catch(() => {});
}

// Live

let refreshing = null;
function refreshSoon() {
  refreshing ??= setTimeout(async () => {
    refreshing = null;
    await loadState().catch(() => {});
    draw();
  }, 60);
}

function connect() {
  const mine = new WebSocket(`ws://${location.host}/page/live?user=${encodeURIComponent(me)}`);
  socket = mine;
  mine.onmessage = ({ data }) => mine === socket && live(JSON.parse(data));
  mine.onclose = () => {
    if (mine !== socket) return;
    $("offline").hidden = tries < 1;
    setTimeout(() => mine === socket && connect(), RECONNECT[Math.min(tries++, RECONNECT.length - 1)]);
  };
}

async function live(change) {
  if (change.type === "hello") {
    tries = 0;
    $("offline").hidden = true;
    await loadState();
    await show({ fresh: true });
  } else if (change.type === "message") {
    changes++;
    put(change.message, change.new);
  } else if (change.type === "deleted") {
    changes++;
    channelMessages.delete(change.ts);
    thread?.messages.delete(change.ts);
    if (thread?.parent === change.ts) location.hash = `#${route.channel}`;
    draw();
    refreshSoon();
  } else if (change.type === "app") {
    state.connections = change.connections;
    draw();
    refreshSoon(); // a state that is on its way may be older
  } else refreshSoon();
}

function put(message, isNew) {
  const isReply = message.thread_ts && message.thread_ts !== message.ts;
  if (message.channel === route.channel) {
    if (!isReply || message.reply_broadcast) channelMessages.set(message.ts, message);
    if (thread && (message.ts === thread.parent || message.thread_ts === thread.parent)) thread.messages.set(message.ts, message);
    draw();
    if (isNew && !document.hidden) markRead();
  }
  if (isNew && message.notifies.includes(me)) announce(`${names.user(message.user)?.real_name} mentioned you in #${names.channel(message.channel)?.name}`);
  refreshSoon();
}

// Doing

const place = () => names.channel(route.channel);
const act = (body) => postJson("/page/act", { user: me, channel: route.channel, ...body });

function suggestions(word, whole) {
  if (word.startsWith("/")) {
    if (!whole.startsWith("/")) return [];
    return state.commands.filter((one) => one.command.startsWith(word)).map((one) => ({ label: one.command, detail: one.usage_hint || one.description, insert: `${one.command} `, info: whole.startsWith(`${one.command} `) }));
  }
  const typed = word.slice(1).toLowerCase();
  const people = state.users.map((one) => ({ label: `@${one.name}`, detail: one.real_name, insert: `@${one.name} ` }));
  const groups = state.usergroups.map((one) => ({ label: `@${one.handle}`, detail: one.name, insert: `@${one.handle} ` }));
  const begins = (one) => one.label.slice(1).startsWith(typed);
  const found = [...people, ...groups].filter((one) => begins(one) || one.detail.toLowerCase().split(" ").some((part) => part.startsWith(typed)));
  return found.sort((one, other) => begins(other) - begins(one));
}

const composers = {
  channel: composer(document.querySelector("[data-composer=channel]"), {
    id: "channel-composer",
    label: () => (place() ? `Message ${place().is_im ? "" : "#"}${nameOf(place())}` : "Message"),
    suggestions,
    send: (text) => act({ action: "message", text }),
  }),
  thread: composer(document.querySelector("[data-composer=thread]"), {
    id: "thread-composer",
    label: () => "Reply in the thread",
    commands: false,
    suggestions: (word) => (word.startsWith("@") ? suggestions(word, "") : []),
    send: (text) => act({ action: "message", text, thread_ts: thread.parent }),
  }),
};

function closeThread() {
  const from = thread?.parent;
  location.hash = `#${route.channel}`;
  document.querySelector(`#messages [data-ts="${from}"] .summary`)?.focus();
}

$("close-thread").addEventListener("click", closeThread);
$("open-side").addEventListener("click", () => { $("app").classList.add("side-open"); $("close-side").focus(); });
$("scrim").addEventListener("click", () => $("app").classList.remove("side-open"));
$("close-side").addEventListener("click", () => { $("app").classList.remove("side-open"); $("open-side").focus(); });
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || $("confirm").open) return;
  if ($("app").classList.contains("side-open")) $("app").classList.remove("side-open");
  else if (thread) closeThread();
});
$("acting-as").addEventListener("change", async (event) => {
  me = event.target.value;
  sessionStorage.setItem("acting-as", me);
  pressed.clear();
  tries = 0;
  const left = socket;
  connect();
  left.close();
  await loadState();
  await show({ fresh: true });
  announce(`Acting as ${names.user(me).real_name}`);
});
document.addEventListener("visibilitychange", () => !document.hidden && state && markRead());
window.addEventListener("hashchange", () => show());

await loadState();
draw();
connect();
await show({ fresh: true });
if (state.world) startWorld();
