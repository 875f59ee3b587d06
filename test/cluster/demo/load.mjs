// A steady load under `remit run`: RATE calls a second until SIGTERM, or for SECONDS. At the end it prints how many had each answer, as JSON, and
// for those that were not 200 when they came.
const rate = Number(process.env.RATE);
const seconds = Number(process.env.SECONDS);
const answers = {};
const failures = [];
const MOST_PENDING = 30;
let made = 0;
/** Calls that took a second or more: `remit run` waits as long before it repeats a call that could not be decided. */
let late = 0;
let due = 0;

async function call() {
  made += 1;
  const atMs = Date.now();
  const answer = await fetch(`${process.env.REMIT_FORWARD_TOOLS}/items/7`).then(
    async (response) => [response.status, await response.text()],
    (error) => [0, String(error.cause ?? error)],
  );
  if (Date.now() - atMs >= 1_000) late += 1;
  const [status, text] = answer;
  const key = status === 200 ? '200' : `${status} ${/"reason":"([^"]+)"/.exec(text)?.[1] ?? text.slice(0, 100)}`;
  answers[key] = (answers[key] ?? 0) + 1;
  if (status !== 200) failures.push({ atMs, answer: key });
}

const started = performance.now();
const pending = new Set();
const ended = new AbortController();
process.on('SIGTERM', () => ended.abort());
console.log('calling');
while (!ended.signal.aborted && performance.now() - started < seconds * 1_000) {
  // Calls that are due are made even if earlier ones have no answer yet, but not without end: a slow machine makes fewer.
  while (pending.size < MOST_PENDING && due < ((performance.now() - started) / 1_000) * rate) {
    due += 1;
    const one = call().finally(() => pending.delete(one));
    pending.add(one);
  }
  await new Promise((resolve) => setTimeout(resolve, 5));
}
await Promise.all(pending);
console.log(JSON.stringify({ made, late, answers, failures: failures.slice(0, 50) }));
