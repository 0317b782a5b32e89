// The page: signs in and out, and shows the overview or one import, by what stands behind the # of the
// address.

import { getJson, onSignedOut, poll, postJson, Refusal, token } from "./api.js";
import { announce, byId, setHidden, showNotice, showTrouble } from "./dom.js";
import { showJob } from "./job.js";
import { jobsPanel } from "./jobs.js";
import { sidePanels } from "./panels.js";
import { startPanel } from "./start.js";

/** Pauses in milliseconds: between looks at the side panels, and after trouble. */
const SIDE = 10_000;
const TROUBLE = 3000;

const views = { signIn: byId("sign-in"), overview: byId("overview"), job: byId("job") };
/** Ends what the view in sight does in the background. */
let leave = () => {};

const starting = startPanel(byId("start"), (job) => {
  location.hash = `#/jobs/${job.id}`;
});
let jobsPolling = null;
const jobs = jobsPanel(byId("jobs"), () => jobsPolling?.now());
const sides = sidePanels(starting);

function show(view) {
  leave();
  leave = () => {};
  for (const one of Object.values(views)) setHidden(one, one !== view);
  setHidden(byId("sign-out"), view === views.signIn);
  document.title = "intake";
}

function showSignIn(why) {
  show(views.signIn);
  showTrouble("");
  showNotice(byId("sign-in-fault"), why);
  byId("token").focus();
}

function showOverview() {
  show(views.overview);
  jobsPolling = poll((signal) => attempt(() => jobs.load(signal), signal));
  const sidePolling = poll((signal) => attempt(async () => {
    await sides.load(signal);
    return SIDE;
  }, signal));
  leave = () => {
    jobsPolling.stop();
    sidePolling.stop();
  };
}

/** Asks the server; trouble is shown at the top, and it is asked again. */
async function attempt(ask, signal) {
  try {
    const pause = await ask();
    showTrouble("");
    return pause;
  } catch (refusal) {
    if (signal.aborted || refusal.status === 401) return null;
    if (!(refusal instanceof Refusal)) throw refusal;
    showTrouble(refusal.scopes
      ? `This token may not list imports: it lacks the scope ${refusal.scopes.join(" or ")}.`
      : `${refusal.message} Trying again…`);
    return TROUBLE;
  }
}

function route() {
  const code = /^#code=([A-Za-z0-9]+)$/.exec(location.hash);
  if (code) {
    // Before anything else: who goes back or copies the address must not find it.
    history.replaceState(null, "", location.pathname);
    signInWith(code[1]);
  } else if (token.get() === null) {
    showSignIn(null);
  } else {
    const job = /^#\/jobs\/([A-Za-z0-9_]+)$/.exec(location.hash);
    if (job) {
      show(views.job);
      leave = showJob(views.job, job[1]);
    } else {
      showOverview();
    }
  }
}

async function signInWith(code) {
  try {
    token.set((await postJson("/u/sign-in", { code })).access_token);
    announce("You are signed in.");
  } catch (refusal) {
    if (token.get() === null) {
      showSignIn(refusal.message);
      return;
    }
  }
  route();
}

async function signInByToken(event) {
  event.preventDefault();
  const field = byId("token");
  const given = field.value.trim().replace(/^bearer\s+/i, "");
  if (!/^[A-Za-z0-9._~+\/=-]+$/.test(given)) {
    showNotice(byId("sign-in-fault"), "This is no access token. Make one with: intake token");
    return;
  }
  token.set(given);
  try {
    await getJson("/api/v2/jobs?per_page=1");
  } catch (refusal) {
    // A token that may not list jobs may do other things.
    if (refusal.status !== 403) {
      token.forget();
      const why = refusal.status === 401
        ? `The server does not take this token: ${refusal.message}. Make a new one with: intake token`
        : refusal.message;
      showSignIn(why);
      return;
    }
  }
  field.value = "";
  showNotice(byId("sign-in-fault"), null);
  route();
  byId("main").focus();
}

function signOut(why) {
  token.forget();
  starting.clear();
  views.job.replaceChildren();
  showSignIn(why);
}

onSignedOut((refusal) => {
  const isOld = refusal.message.startsWith("Expired");
  signOut(isOld
    ? "Your sign-in has expired. Paste a new token to go on where you were."
    : `The server no longer takes your token: ${refusal.message}. Make a new one with: intake token`);
});
byId("sign-out").addEventListener("click", () => {
  signOut(null);
  announce("You are signed out.");
});
byId("token-form").addEventListener("submit", signInByToken);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});
window.addEventListener("hashchange", () => {
  route();
  window.scrollTo(0, 0);
  if (token.get() !== null) byId("main").focus({ preventScroll: true });
});
route();
