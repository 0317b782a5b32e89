// "Start an import": choose a file, see what is in it, choose where it goes, send it.

import { get, upload } from "./api.js";
import { announce, copyButton, make, setHidden, setText, showNotice } from "./dom.js";
import { curlFile, rows, shellWord, size, whole } from "./format.js";
import { FileFault, inspect } from "./inspect.js";

const UPLOAD = "/api/v2/jobs/users-imports";

/** Fills `section`; `onStarted(job)` is told of an import that was accepted. */
export function startPanel(section, onStarted) {
  const parts = build(section);
  const state = { file: null, isGood: false, looking: null, sending: null, maxFileSize: Infinity };

  const refresh = () => {
    const connection = parts.connection.value;
    setText(parts.connectionId, connection || "–");
    setText(parts.command, curlCommand(parts, state.file));
    // How much the server takes may be known only after the file was looked at.
    const isTooLarge = state.isGood && state.file.size > state.maxFileSize;
    if (isTooLarge) showNotice(parts.fault, tooLarge(state.file, state.maxFileSize));
    parts.start.disabled = !state.isGood || isTooLarge || !connection || state.sending !== null;
  };
  const choose = (file) => {
    if (!file || state.sending) return;
    state.looking?.abort();
    state.looking = new AbortController();
    Object.assign(state, { file, isGood: false });
    setHidden(parts.chosen, false);
    setText(parts.dropTitle, "Choose another file or drop it here");
    showNotice(parts.fault, null);
    refresh();
    look(parts, state, state.looking.signal).then(refresh);
  };
  const clear = () => {
    state.looking?.abort();
    Object.assign(state, { file: null, isGood: false });
    parts.form.reset();
    setHidden(parts.chosen, true);
    setText(parts.dropTitle, "Choose a file or drop it here");
    refresh();
  };

  acceptDrops(parts.drop, choose);
  parts.input.addEventListener("change", () => choose(parts.input.files[0]));
  parts.form.addEventListener("input", refresh);
  parts.clear.addEventListener("click", () => {
    clear();
    parts.input.focus();
  });
  parts.stop.addEventListener("click", () => state.sending?.stop());
  parts.form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const job = await start(parts, state, refresh);
    if (job) {
      clear();
      onStarted(job);
    }
  });

  return {
    clear,
    load: async (signal) => {
      const { connections, maxFileSize } = await fetchConnections(signal).catch((refusal) => {
        if (refusal.scopes) showNotice(parts.noConnection, needsConnections(refusal.scopes));
        throw refusal;
      });
      state.maxFileSize = maxFileSize;
      offer(parts, connections);
      setText(parts.dropHint, `A JSON array of users, up to ${size(maxFileSize)}`);
      refresh();
      return connections;
    },
  };
}

async function fetchConnections(signal) {
  const response = await get("/api/v2/connections?per_page=100", signal);
  return {
    connections: await response.json(),
    maxFileSize: Number(response.headers.get("x-intake-max-file-size")) || Infinity,
  };
}

const needsConnections = (scopes) =>
  `An import from here needs to know the connections, and your token lacks the scope ${scopes.join(" or ")}.`;

/** Only databases that are enabled for somebody take imports. */
export const takesImports = (connection) =>
  connection.strategy === "auth0" && (connection.enabled_clients ?? []).length > 0;

function offer(parts, connections) {
  const usable = connections.filter(takesImports);
  const wanted = JSON.stringify(usable.map(({ id, name }) => [id, name]));
  if (parts.connection.dataset.offered !== wanted) {
    const before = parts.connection.value;
    parts.connection.dataset.offered = wanted;
    parts.connection.replaceChildren(...usable.map(({ id, name }) => make("option", { value: id }, name)));
    if (usable.some(({ id }) => id === before)) parts.connection.value = before;
  }
  showNotice(parts.noConnection, usable.length > 0 ? null
    : "No connection takes imports. Declare one in import.toml ([[connections]]) and enable it for a client.");
}

/** Looks through the chosen file and says what it found. */
async function look(parts, state, signal) {
  const { file } = state;
  setText(parts.fileName, file.name);
  setText(parts.fileSize, size(file.size));
  setText(parts.fileRows, "counting rows…");
  parts.firstRows.replaceChildren();
  setHidden(parts.firstRowsPart, true);
  try {
    const scanner = await inspect(file, signal, (done, { rows: count }) => {
      if (done < file.size) setText(parts.fileRows, `${whole(count)} rows in the first ${size(done)}…`);
    });
    setText(parts.fileRows, rows(scanner.rows));
    showFirstRows(parts, scanner);
    state.isGood = true;
    announce(`${file.name}: ${rows(scanner.rows)}, ${size(file.size)}`);
  } catch (fault) {
    if (signal.aborted) return;
    setText(parts.fileRows, "no rows can be read");
    const why = fault instanceof FileFault ? fault.message : `The browser cannot read the file: ${fault.message}`;
    showNotice(parts.fault, why);
  }
}

function tooLarge(file, most) {
  return `The file has ${size(file.size)}, and this server takes up to ${size(most)} at once. ` +
    `Import it with: intake import ${shellWord(file.name)} (that cuts it between rows), or raise import.max_file_size.`;
}

function showFirstRows(parts, scanner) {
  const shown = scanner.shown();
  parts.firstRows.replaceChildren(...shown.map((text) =>
    make("li", {}, make("code", {}, text.replace(/\s+/g, " ")))));
  setText(parts.firstRowsTitle, shown.length === scanner.rows ? "All of its rows" : `Its first ${shown.length} rows`);
  setHidden(parts.firstRowsPart, shown.length === 0);
}

/** Sends the file. Returns the job, or null if there is none; then the form says why. */
async function start(parts, state, refresh) {
  const form = new FormData();
  for (const [name, value] of choices(parts)) form.append(name, value);
  form.append("users", state.file);
  showNotice(parts.fault, null);
  parts.progress.value = 0;
  state.sending = upload(UPLOAD, form, (loaded, total) => {
    parts.progress.value = total > 0 ? loaded / total : 0;
    setText(parts.sent, `${size(loaded)} of ${size(total)} sent`);
  });
  setHidden(parts.sending, false);
  refresh();
  try {
    return await state.sending.done;
  } catch (refusal) {
    showNotice(parts.fault, refusal.name === "AbortError" ? "Stopped; nothing was imported." : refusal.message);
    return null;
  } finally {
    state.sending = null;
    setHidden(parts.sending, true);
    refresh();
  }
}

/** What was chosen, as the names and values of the API. */
function choices(parts) {
  const chosen = [["connection_id", parts.connection.value]];
  if (parts.upsert.checked) chosen.push(["upsert", "true"]);
  if (!parts.mail.checked) chosen.push(["send_completion_email", "false"]);
  if (parts.externalId.value) chosen.push(["external_id", parts.externalId.value]);
  return chosen;
}

function curlCommand(parts, file) {
  const words = choices(parts).map(([name, value]) => `--form-string ${shellWord(`${name}=${value}`)}`);
  const lines = [
    `curl ${shellWord(location.origin + UPLOAD)}`,
    `-H "authorization: Bearer $TOKEN"`,
    ...words,
    `-F ${shellWord(curlFile(file?.name ?? "users.json"))}`,
  ];
  return lines.join(" \\\n  ");
}

/** Files can be dropped on `area`, and nowhere else by mistake. */
function acceptDrops(area, choose) {
  const isOver = (over) => area.classList.toggle("over", over);
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => event.preventDefault());
  area.addEventListener("dragover", () => isOver(true));
  area.addEventListener("dragleave", () => isOver(false));
  area.addEventListener("drop", (event) => {
    isOver(false);
    choose(event.dataTransfer.files[0]);
  });
}

function build(section) {
  const parts = {
    input: make("input", { type: "file", id: "file", accept: ".json,application/json", "aria-describedby": "file-hint" }),
    dropTitle: make("span", { class: "drop-title" }, "Choose a file or drop it here"),
    dropHint: make("span", { class: "hint", id: "file-hint" }, "A JSON array of users"),
    fileName: make("strong", { class: "file-name" }),
    fileSize: make("span"),
    fileRows: make("span", { id: "file-rows" }),
    clear: make("button", { type: "button", class: "quiet" }, "Remove"),
    fault: make("p", { class: "notice bad", role: "alert", id: "start-fault", hidden: true }),
    firstRows: make("ol", { class: "first-rows", id: "first-rows" }),
    firstRowsTitle: make("h3"),
    connection: make("select", { id: "connection", "aria-describedby": "connection-id" }),
    connectionId: make("code", { id: "connection-id" }),
    noConnection: make("p", { class: "notice bad", hidden: true }),
    upsert: make("input", { type: "checkbox", id: "upsert" }),
    mail: make("input", { type: "checkbox", id: "mail", checked: true }),
    externalId: make("input", { type: "text", id: "external-id", autocomplete: "off", spellcheck: "false" }),
    command: make("code", { id: "curl" }),
    start: make("button", { type: "submit", class: "primary", id: "start-button", disabled: true }, "Start import"),
    progress: make("progress", { max: "1", value: "0", "aria-label": "Upload" }),
    sent: make("span", { class: "hint" }),
    stop: make("button", { type: "button", class: "quiet" }, "Stop"),
  };
  parts.drop = make("label", { class: "drop", for: "file" }, parts.dropTitle, parts.dropHint);
  parts.firstRowsPart = make("div", { hidden: true }, parts.firstRowsTitle, parts.firstRows);
  parts.sending = make("div", { class: "sending", hidden: true }, parts.progress, parts.sent, parts.stop);
  const field = (control, label, ...hint) => make("div", { class: "field" },
    make("label", { for: control.id }, label), control, ...hint);
  const tick = (control, label, hint) => make("div", { class: "tick" },
    control, make("label", { for: control.id }, label, make("span", { class: "hint" }, hint)));
  parts.chosen = make("div", { id: "chosen", hidden: true },
    make("p", { class: "file-facts" }, parts.fileName, make("span", { class: "file-more" }, parts.fileSize, " · ",
      parts.fileRows), parts.clear),
    parts.fault, parts.firstRowsPart,
    make("fieldset", {}, make("legend", { class: "unseen" }, "How it is imported"),
      field(parts.connection, "Connection", make("p", { class: "hint" }, "Id ", parts.connectionId)),
      field(parts.externalId, "Your own id (optional)"),
      tick(parts.upsert, "Update users who exist already", "Without it their rows fail."),
      tick(parts.mail, "Send a mail when it is done", "To the owners in the settings.")),
    parts.noConnection,
    make("details", { class: "curl" }, make("summary", {}, "The same with curl"),
      make("p", { class: "hint" }, "With TOKEN=$(intake token) set, in the folder of the file:"),
      make("div", { class: "command" }, make("pre", {}, parts.command),
        copyButton(() => parts.command.textContent, "the curl command"))),
    make("div", { class: "actions" }, parts.start, parts.sending));
  parts.form = make("form", { autocomplete: "off" }, parts.input, parts.drop, parts.chosen);
  section.replaceChildren(make("h2", { id: "start-title" }, "Start an import"), parts.form);
  return parts;
}
