// The demo's world: what runs, and faults to break and mend. It is no part of Slack.
import { $, getJson, h, postJson } from "./dom.js";

const EVERY = 2000; // ms between looks, while the panel is open and the page is seen
let faults = null;
const busy = new Set();
let problem = "";

export function startWorld() {
  const panel = $("world");
  panel.hidden = false;
  if (window.matchMedia("(max-width: 760px)").matches) panel.open = false;
  panel.addEventListener("toggle", look);
  document.addEventListener("visibilitychange", look);
  setInterval(look, EVERY);
  look();
}

async function look() {
  if (!$("world").open || document.hidden) return;
  try {
    const state = await getJson("/world/state");
    faults ??= await getJson("/world/faults");
    draw(state);
  } catch {
    faults = null;
    $("world-body").replaceChildren(h("p", { class: "world-absent" }, "The demo's world is not running."));
  }
}

const nameOf = (fault) => (typeof fault === "string" ? fault : fault.name ?? fault.fault ?? "");
const listed = (given) => (Array.isArray(given) ? given : given?.faults ?? []);

function draw(state) {
  const active = new Set((Array.isArray(state.faults) ? state.faults : Object.keys(state.faults ?? {})).map(nameOf));
  const focused = document.activeElement?.dataset?.fault;
  const nodes = Object.entries(state.nodes ?? {}).map(([name, node]) =>
    h("li", { class: "node" }, h("span", { class: "dot", "data-state": node.state, "aria-hidden": "true" }), h("span", { class: "node-name", title: [node.kind, node.url].filter(Boolean).join(" · ") }, name), h("span", { class: "node-state" }, node.state)),
  );
  const rows = listed(faults).filter((fault) => fault.name !== "none").map((fault) => {
    const on = active.has(fault.name);
    return h(
      "li",
      { class: `fault${on ? " on" : ""}` },
      h("div", { class: "fault-head" }, h("code", { title: fault.mechanism }, fault.name),
        h("button", { type: "button", class: `button tiny${on ? "" : " quiet"}`, "data-fault": fault.name, disabled: busy.has(fault.name), "aria-label": `${on ? "Mend" : "Break"} ${fault.name}`, onclick: () => order(fault.name, on) }, busy.has(fault.name) ? "…" : on ? "Mend" : "Break")),
      h("p", { class: "fault-text" }, fault.mechanism),
    );
  });
  $("world-body").replaceChildren(
    h("h3", {}, "Nodes"), h("ul", {}, nodes),
    h("h3", {}, "Faults"), h("ul", { class: "faults" }, rows),
    h("p", { class: "composer-error", role: "alert" }, problem),
  );
  if (focused) document.querySelector(`[data-fault="${CSS.escape(focused)}"]`)?.focus();
}

async function order(name, on) {
  busy.add(name);
  problem = "";
  look();
  try {
    await postJson(`/world/${on ? "cures" : "faults"}/${encodeURIComponent(name)}`);
  } catch (error) {
    problem = `${name}: ${error.message}`;
  } finally {
    busy.delete(name);
    look();
  }
}
