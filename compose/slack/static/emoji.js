// The emoji that incident work uses; another name stays as it was written.
const NAMES = {
  "+1": "👍", "-1": "👎", thumbsup: "👍", thumbsdown: "👎", white_check_mark: "✅", heavy_check_mark: "✔️",
  ballot_box_with_check: "☑️", x: "❌", warning: "⚠️", rotating_light: "🚨", fire: "🔥", eyes: "👀",
  hourglass: "⌛", hourglass_flowing_sand: "⏳", stopwatch: "⏱️", alarm_clock: "⏰", large_green_circle: "🟢",
  large_yellow_circle: "🟡", large_orange_circle: "🟠", red_circle: "🔴", large_blue_circle: "🔵",
  white_circle: "⚪", black_circle: "⚫", octagonal_sign: "🛑", no_entry: "⛔", no_entry_sign: "🚫", lock: "🔒",
  unlock: "🔓", key: "🔑", mag: "🔍", mag_right: "🔎", wrench: "🔧", hammer: "🔨", gear: "⚙️", tools: "🛠️",
  rocket: "🚀", bell: "🔔", no_bell: "🔕", mute: "🔇", robot_face: "🤖", question: "❓", grey_question: "❔",
  exclamation: "❗", information_source: "ℹ️", bulb: "💡", tada: "🎉", memo: "📝", clipboard: "📋", book: "📖",
  chart_with_upwards_trend: "📈", chart_with_downwards_trend: "📉", bar_chart: "📊", speech_balloon: "💬",
  arrow_right: "➡️", arrow_left: "⬅️", arrow_up: "⬆️", arrow_down: "⬇️", repeat: "🔁", link: "🔗", zap: "⚡",
  construction: "🚧", pause_button: "⏸️", arrow_forward: "▶️", black_square_for_stop: "⏹️", wave: "👋",
  raised_hand: "✋", pray: "🙏", pager: "📟", telephone_receiver: "📞", ticket: "🎫", shield: "🛡️", skull: "💀",
  see_no_evil: "🙈", computer: "💻", package: "📦", floppy_disk: "💾", satellite: "📡", crescent_moon: "🌙",
  sleeping: "😴", heart: "❤️", smile: "😄", thinking_face: "🤔", hand: "✋", checkered_flag: "🏁",
};

export const emoji = (name) => NAMES[name.replace(/::skin-tone-\d$/, "")] ?? null;
