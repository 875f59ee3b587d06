// A steady load in a mesh under `remit run`: RATE calls a second to TOOLS, in clear, with its token: SECONDS long, or until SIGTERM. At the end it
// prints how many had each answer, as JSON, and the times that half and 99 % of them took. Nothing is repeated.
const { RATE, REMIT_TOKEN_URL, REMIT_TOKEN_URL_AUTH, SECONDS, TOOLS } = process.env;
const [rate, seconds] = [Number(RATE), Number(SECONDS)];
const MOST_PENDING = 500;
const answers = {};
const failures = [];
const times = [];
let made = 0;

async function ask() {
  const answer = await fetch(REMIT_TOKEN_URL, { headers: { authorization: `Bearer ${REMIT_TOKEN_URL_AUTH}` } });
  if (!answer.ok) throw new Error(`no token: ${answer.status}`);
  return (await answer.json()).access_token;
}

let token = await ask();
const renew = () =>
  void ask().then(
    (next) => (token = next),
    () => {},
  );
setInterval(renew, 5_000).unref();

async function call() {
  made += 1;
  const [atMs, started] = [Date.now(), performance.now()];
  const [status, text] = await fetch(`${TOOLS}/items/7`, { headers: { authorization: `Bearer ${token}` } }).then(
    async (response) => [response.status, await response.text()],
    (error) => [0, String(error.cause?.code ?? error.cause ?? error)],
  );
  times.push(performance.now() - started);
  const key = status === 200 ? '200' : `${status} ${/"reason":"([^"]+)"/.exec(text)?.[1] ?? text.slice(0, 100)}`;
  answers[key] = (answers[key] ?? 0) + 1;
  if (status !== 200) failures.push({ atMs, answer: key });
}

const started = performance.now();
const most = seconds * rate;
const pending = new Set();
const ended = new AbortController();
process.on('SIGTERM', () => ended.abort());
console.log('calling');
while (!ended.signal.aborted && made < most) {
  while (made < most && pending.size < MOST_PENDING && made < ((performance.now() - started) / 1_000) * rate) {
    const one = call().finally(() => pending.delete(one));
    pending.add(one);
  }
  await new Promise((resolve) => setTimeout(resolve, 2));
}
await Promise.all(pending);
times.sort((a, b) => a - b);
const quantile = (share) => Number((times[Math.floor(times.length * share)] ?? NaN).toFixed(2));
console.log(
  JSON.stringify({ made, answers, p50: quantile(0.5), p99: quantile(0.99), failures: failures.slice(0, 50) }),
);
process.exit();
