// Slack's <!date^seconds^tokens|fallback>: an instant in the reader's own time zone.
const DAY = 86400000;

const format = (date, options) => new Intl.DateTimeFormat("en-US", options).format(date);
const midnight = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate());

function near(date) {
  const days = Math.round((midnight(date) - midnight(new Date())) / DAY);
  return { "-1": "yesterday", 0: "today", 1: "tomorrow" }[days];
}

const LONG = { weekday: "long", month: "long", day: "numeric", year: "numeric" };
const PLAIN = { month: "long", day: "numeric", year: "numeric" };
const SHORT = { month: "short", day: "numeric", year: "numeric" };
const two = (number) => String(number).padStart(2, "0");

const TOKENS = {
  "{date_num}": (date) => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`,
  "{date}": (date) => format(date, PLAIN),
  "{date_short}": (date) => format(date, SHORT),
  "{date_long}": (date) => format(date, LONG),
  "{date_pretty}": (date) => near(date) ?? format(date, PLAIN),
  "{date_short_pretty}": (date) => near(date) ?? format(date, SHORT),
  "{date_long_pretty}": (date) => near(date) ?? format(date, LONG),
  "{time}": (date) => `${two(date.getHours())}:${two(date.getMinutes())}`,
  "{time_secs}": (date) => `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`,
};

// `target` is all between < and |; what can't be read shows its fallback, as in Slack.
export function dateText(target, fallback) {
  const [, seconds, tokens] = target.split("^");
  const date = new Date(Number(seconds) * 1000);
  if (!tokens || !/^\d+$/.test(seconds ?? "") || Number.isNaN(date.getTime())) return fallback;
  return tokens.replace(/\{[a-z_]+\}/g, (token) => TOKENS[token]?.(date) ?? token);
}
