// Numbers, sizes, times and commands as people read them.

const WHOLE = new Intl.NumberFormat("en");

export const whole = (number) => WHOLE.format(number);

export function rows(count) {
  return count === 1 ? "1 row" : `${whole(count)} rows`;
}

/** A size in bytes; KB is 1024 bytes, as in the settings. */
export function size(bytes) {
  const units = ["bytes", "KB", "MB", "GB", "TB"];
  let at = 0;
  let value = bytes;
  while (value >= 1024 && at < units.length - 1) {
    value /= 1024;
    at += 1;
  }
  if (at === 0) return bytes === 1 ? "1 byte" : `${whole(bytes)} bytes`;
  return `${Number(value.toFixed(value < 10 ? 1 : 0))} ${units[at]}`;
}

/** A length of time, to the two largest units. */
export function duration(seconds) {
  const total = Math.max(0, Math.round(seconds));
  if (total < 60) return `${total} s`;
  const [hours, minutes] = [Math.floor(total / 3600), Math.floor((total % 3600) / 60)];
  return hours === 0 ? `${minutes} min ${total % 60} s` : `${hours} h ${minutes} min`;
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const SHORT_CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

/** A `<time>` in the reader's own time zone. */
export function time(text) {
  const element = document.createElement("time");
  const date = new Date(text);
  element.dateTime = text;
  element.title = text;
  const isToday = DAY.format(date) === DAY.format(new Date());
  element.textContent = isToday ? CLOCK.format(date) : `${DAY.format(date)}, ${SHORT_CLOCK.format(date)}`;
  return element;
}

/** A text as one word of a shell. */
export function shellWord(text) {
  return /^[A-Za-z0-9_\/:=.,@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A file name as curl's -F reads it. */
export function curlFile(name) {
  const path = name.startsWith("-") ? `./${name}` : name;
  return `users=@"${path.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}
