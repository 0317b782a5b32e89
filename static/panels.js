// The panels beside the imports: connections, mail and log streams that wait or failed, recent events.
//
// A panel whose endpoint the server does not have stays away, and is not asked for again; one that the token may not read says so.

import { getJson, postJson, Refusal } from "./api.js";
import { announce, byId, copyButton, make, reconcile, setHidden, setText, showNotice } from "./dom.js";
import { time, whole } from "./format.js";
import { badge } from "./jobs.js";
import { takesImports } from "./start.js";

const EVENTS = 20;

/** A panel with a heading and a list; what fills it comes with `show`. */
function panel(id, title, empty, item) {
  const section = byId(id);
  const list = make("ul", { class: "list" });
  const nothing = make("p", { class: "empty", hidden: true });
  section.replaceChildren(make("h2", { id: `${id}-title` }, title), nothing, list);
  return {
    isAbsent: false,
    show: (items) => {
      setHidden(section, false);
      showNotice(nothing, items.length === 0 ? empty : null);
      reconcile(list, items, (entry) => entry.id ?? entry.log_id, item);
    },
    refuse(refusal) {
      this.isAbsent = refusal.status === 404;
      setHidden(section, this.isAbsent);
      reconcile(list, [], () => null, item);
      showNotice(nothing, refusal.scopes
        ? `This token may not read this: it lacks the scope ${refusal.scopes.join(" or ")}.`
        : refusal.message);
    },
  };
}

/** All panels; `load(signal)` fetches what they show. */
export function sidePanels(startPanel) {
  const connections = panel("connections", "Connections",
    "There are no connections. Declare one in import.toml, under [[connections]].", connectionItem);
  const outbox = panel("outbox", "Mail", "No mail waits and none was given up.", letterItem);
  const streams = panel("streams", "Log streams",
    "There are no log streams. Declare one in import.toml, under [[log_streams]], to have events sent somewhere.",
    streamItem);
  const logs = panel("logs", "Recent events", "Nothing has happened yet.", eventItem);

  const fill = async (panel, fetchItems) => {
    if (panel.isAbsent) return;
    try {
      panel.show(await fetchItems());
    } catch (refusal) {
      if (!(refusal instanceof Refusal) || refusal.status === 401 || refusal.status === 0) throw refusal;
      panel.refuse(refusal);
    }
  };
  return {
    load: async (signal) => {
      await fill(connections, () => startPanel.load(signal));
      await fill(outbox, () => getJson("/api/v2/outbox", signal));
      await fill(streams, () => getJson("/api/v2/log-streams", signal));
      await fill(logs, () => getJson(`/api/v2/logs?per_page=${EVENTS}`, signal));
    },
  };
}

const sub = (...content) => make("span", { class: "sub" }, ...content);

function connectionItem(connection) {
  const why = connection.strategy === "auth0" ? "enabled for no client" : "no database";
  return make("li", {},
    make("span", { class: "name" }, connection.name),
    make("span", { class: "copied" }, make("code", {}, connection.id), copyButton(connection.id, `the id of ${connection.name}`)),
    takesImports(connection) ? null : sub(`Takes no imports: ${why}.`));
}

function letterItem(letter) {
  const isGivenUp = letter.status === "given_up";
  const tries = `${whole(letter.attempts)} ${letter.attempts === 1 ? "try" : "tries"}`;
  const retry = async () => {
    try {
      await postJson(`/api/v2/outbox/${encodeURIComponent(letter.id)}/retry`);
      setText(button, "It is tried again");
      button.disabled = true;
    } catch (refusal) {
      setText(answer, refusal.message);
    }
    announce(answer.textContent || button.textContent);
  };
  const button = make("button", { type: "button", class: "copy", on: { click: retry } }, "Try again now");
  const answer = sub(letter.last_answer ?? "");
  return make("li", {},
    make("span", { class: "title" }, make("span", { class: "name" }, letter.subject),
      badge(isGivenUp ? ["Given up", "bad"] : ["Waiting", "busy"])),
    sub("To ", letter.to, ", ", tries, isGivenUp || !letter.next_attempt_at ? "" : ", next ",
      isGivenUp || !letter.next_attempt_at ? "" : time(letter.next_attempt_at)),
    answer, button);
}

function streamItem(stream) {
  const delivery = stream.delivery ?? {};
  const isFailing = Boolean(delivery.failing_since);
  const look = { active: isFailing ? ["Failing", "warn"] : ["Active", "good"], suspended: ["Suspended", "bad"] };
  const facts = [`${whole(delivery.delivered ?? 0)} delivered`, `${whole(delivery.waiting ?? 0)} waiting`];
  if (delivery.lost > 0) facts.push(`${whole(delivery.lost)} lost`);
  return make("li", {},
    make("span", { class: "title" }, make("span", { class: "name" }, stream.name),
      badge(look[stream.status] ?? ["Paused", "busy"])),
    sub(facts.join(", ")),
    isFailing && sub("Fails since ", time(delivery.failing_since), `: ${delivery.last_error ?? ""}`));
}

function eventItem(event) {
  const what = event.details?.job_id;
  const who = event.connection ?? event.user_name ?? event.client_id;
  return make("li", { class: "event" },
    make("span", { class: "title" }, make("span", {}, event.description ?? event.type), make("code", {}, event.type)),
    sub(time(event.date), who ? ` · ${who}` : "",
      what ? " · " : "", what ? make("a", { href: `#/jobs/${what}` }, what) : ""));
}
