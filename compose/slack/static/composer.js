// The composer: Enter sends, Shift+Enter makes a line, / and @ offer what there is.
import { h, announce } from "./dom.js";

export function composer(form, { id, label, suggestions, send, commands = true }) {
  const list = h("ul", { class: "suggest", role: "listbox", id: `${id}-suggest`, "aria-label": "Suggestions", hidden: true });
  const area = h("textarea", {
    id,
    rows: "1",
    "aria-label": label(),
    "aria-autocomplete": "list",
    "aria-controls": `${id}-suggest`,
    autocomplete: "off",
    spellcheck: "true",
  });
  const error = h("p", { class: "composer-error", role: "alert" });
  const button = h("button", { type: "submit", class: "button primary send", "aria-label": "Send" }, "Send");
  const hint = h("p", { class: "hint", id: `${id}-hint` }, h("kbd", {}, "Enter"), " to send · ", commands && [h("kbd", {}, "/operator"), " for commands · "], h("kbd", {}, "@"), " to mention");
  area.setAttribute("aria-describedby", `${id}-hint`);
  form.replaceChildren(list, h("div", { class: "composer-row" }, area, button), error, hint);

  let offered = [];
  let chosen = -1;

  function size() {
    area.style.height = "auto";
    area.style.height = `${Math.min(area.scrollHeight, 180)}px`;
  }

  function word() {
    const before = area.value.slice(0, area.selectionStart);
    return before.match(/(?:^|\s)([@/][\w-]*)$/)?.[1] ?? (/^\/\w* ?/.test(before) && !before.includes("\n") ? before.split(" ")[0] : "");
  }

  function offer() {
    const current = word();
    offered = current ? suggestions(current, area.value).slice(0, 8) : [];
    chosen = offered.length && !offered[0].info ? 0 : -1;
    draw();
  }

  function draw() {
    list.hidden = offered.length === 0;
    list.replaceChildren(
      ...offered.map((one, index) =>
        h(
          "li",
          { role: "option", id: `${id}-option-${index}`, "aria-selected": index === chosen ? "true" : "false", onmousedown: (event) => { event.preventDefault(); take(index); } },
          h("strong", {}, one.label),
          h("span", {}, one.detail),
        ),
      ),
    );
    if (chosen >= 0) area.setAttribute("aria-activedescendant", `${id}-option-${chosen}`);
    else area.removeAttribute("aria-activedescendant");
  }

  function take(index) {
    const one = offered[index];
    if (!one || one.info) return;
    const at = area.selectionStart;
    const current = word();
    const head = area.value.slice(0, at - current.length) + one.insert;
    area.value = head + area.value.slice(at);
    area.selectionStart = area.selectionEnd = head.length;
    offer();
    size();
    area.focus();
  }

  function close() {
    offered = [];
    chosen = -1;
    draw();
  }

  area.addEventListener("input", () => { error.textContent = ""; size(); offer(); });
  area.addEventListener("blur", close);
  area.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const open = chosen >= 0;
    if (open && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      chosen = (chosen + (event.key === "ArrowDown" ? 1 : offered.length - 1)) % offered.length;
      draw();
    } else if (open && (event.key === "Tab" || (event.key === "Enter" && !event.shiftKey)) && offered[chosen].insert.trim() !== word()) {
      take(chosen);
    } else if (event.key === "Escape" && offered.length) {
      close();
      event.stopPropagation();
    } else if (event.key === "Enter" && !event.shiftKey) {
      form.requestSubmit();
    } else return;
    event.preventDefault();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = area.value.trim();
    if (!text) return;
    area.value = "";
    close();
    size();
    form.dataset.state = "pending";
    try {
      await send(text);
    } catch (problem) {
      if (!area.value) area.value = text;
      error.textContent = `Not sent: ${problem.message}`;
      announce(error.textContent);
      size();
    } finally {
      delete form.dataset.state;
    }
  });
  return {
    focus: () => area.focus(),
    refresh: () => { area.placeholder = label(); area.setAttribute("aria-label", label()); },
  };
}
