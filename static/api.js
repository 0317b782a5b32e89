// The server, and the token of this tab.

const TOKEN = "intake.token";

export const token = {
  get: () => sessionStorage.getItem(TOKEN),
  set: (value) => sessionStorage.setItem(TOKEN, value),
  forget: () => sessionStorage.removeItem(TOKEN),
};

/** A refusal: `status` is 0 if there was no answer at all. */
export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }

  /** The scopes of which one is missing, if that is why. */
  get scopes() {
    const named = this.status === 403 ? /expected any of: (\S+)$/.exec(this.message) : null;
    return named ? named[1].split(",") : null;
  }
}

/** Told when the server no longer takes the token. */
let whenSignedOut = () => {};
export function onSignedOut(listener) {
  whenSignedOut = listener;
}

const NO_ANSWER = "The server does not answer.";

async function send(path, options) {
  const sent = token.get();
  const headers = { ...options.headers, ...(sent && { authorization: `Bearer ${sent}` }) };
  let response;
  try {
    response = await fetch(path, { ...options, headers, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, NO_ANSWER);
  }
  if (response.ok) return response;
  const refusal = new Refusal(response.status, messageOf(await response.text(), response.status));
  if (response.status === 401 && sent && sent === token.get()) whenSignedOut(refusal);
  throw refusal;
}

function messageOf(text, status) {
  try {
    return JSON.parse(text).message ?? `The server answered ${status}.`;
  } catch {
    return `The server answered ${status}.`;
  }
}

export const get = (path, signal) => send(path, { signal });

export async function getJson(path, signal) {
  const response = await get(path, signal);
  return response.status === 204 ? null : response.json();
}

export async function postJson(path, body) {
  const options = body === undefined
    ? { method: "POST" }
    : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const text = await (await send(path, options)).text();
  return text === "" ? null : JSON.parse(text);
}

/** Sends a form and tells how much of it is gone; `fetch` cannot. */
export function upload(path, form, onProgress) {
  const request = new XMLHttpRequest();
  const sent = token.get();
  const done = new Promise((resolve, reject) => {
    request.upload.addEventListener("progress", (event) => onProgress(event.loaded, event.total));
    request.addEventListener("error", () => reject(new Refusal(0, `${NO_ANSWER} ${NOT_SURE}`)));
    request.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
    request.addEventListener("load", () => {
      if (request.status === 202) return resolve(JSON.parse(request.responseText));
      const refusal = new Refusal(request.status, messageOf(request.responseText, request.status));
      if (request.status === 401 && sent === token.get()) whenSignedOut(refusal);
      return reject(refusal);
    });
  });
  request.open("POST", path);
  request.setRequestHeader("authorization", `Bearer ${sent}`);
  request.send(form);
  return { done, stop: () => request.abort() };
}

const NOT_SURE = "The file may have arrived all the same: look at the list before you send it again.";

/**
 * Asks again and again, one question at a time. `ask(signal)` returns the pause until the next time in
 * milliseconds, or null when there is nothing left to ask. While nobody looks it asks rarely.
 */
export function poll(ask) {
  const stopped = new AbortController();
  let wake = () => {};
  const look = () => document.visibilityState === "visible" && wake();
  document.addEventListener("visibilitychange", look);
  const rest = (pause) => new Promise((resolve) => {
    const timer = setTimeout(resolve, document.hidden ? Math.max(pause, HIDDEN) : pause);
    wake = () => {
      clearTimeout(timer);
      resolve();
    };
  });
  (async () => {
    while (!stopped.signal.aborted) {
      const pause = await ask(stopped.signal);
      if (pause === null) break;
      if (!stopped.signal.aborted) await rest(pause);
    }
    document.removeEventListener("visibilitychange", look);
  })();
  return {
    now: () => wake(),
    stop: () => {
      stopped.abort();
      wake();
    },
  };
}

/** Pause while the page is not seen. */
const HIDDEN = 30_000;
