import { hash, randomBytes } from 'node:crypto';

/**
 * `node test/bench/companion.ts MICROSECONDS`: takes so much processor time each second, as an authority does that receives the records of a sidecar:
 * ten times a second, with memory of its own. Beside an embedded process it stands for that authority.
 */
const BEATS = 10;
const memory = randomBytes(4 * 1024 ** 2);
const PIECE = 64 * 1024;
const workMs = Number(process.argv[2]) / 1_000 / BEATS;
let at = 0;

setInterval(() => {
  const untilMs = performance.now() + workMs;
  while (performance.now() < untilMs) {
    hash('sha256', memory.subarray(at, at + PIECE));
    at = (at + PIECE) % memory.length;
  }
}, 1_000 / BEATS);
process.stdout.write('ready\n');
