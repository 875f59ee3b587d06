import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { isDeny } from '../../src/decision/decision.ts';
import { compactJwsFrom, jwsPartsFrom, verifiedPayloadFrom } from '../../src/token/compact-jws.ts';
import { isProblem } from '../../src/token/members.ts';
import { proofFrom } from '../../src/token/proof.ts';
import { verifyTaskToken } from '../../src/token/verify.ts';
import { proofBy, request } from '../token/proofs.ts';
import { ed25519Key, es256Key, issuer, mint, nowMs, ringOf, rs256Key, rules, type TestKey } from '../token/tokens.ts';

/**
 * What it costs to verify a token's signature: jose over Web Crypto, as in use, beside a synchronous `node:crypto` verify
 * with a key object, and the whole of a task token and of a DPoP proof. The contenders take turns in one run; the median of
 * the rounds is what counts, one after the other (latency) and 16 at a time (throughput of one process), and the processor
 * time of every thread beside it, which is what a machine that is busy has to give.
 * `node test/bench/token.ts`.
 */
const ROUNDS = 15;
const CALLS = 400;
const AT_A_TIME = 16;

interface Contender {
  readonly name: string;
  readonly run: () => unknown;
}

async function measure(key: TestKey): Promise<void> {
  const contenders = contendersFor(key);
  const results = contenders.map(({ name }) => ({
    name,
    alone: [] as number[],
    together: [] as number[],
    cpu: [] as number[],
  }));
  for (const { run } of contenders) await timed(run, 1);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [index, { run }] of contenders.entries()) {
      results[index]?.alone.push(await timed(run, 1));
      const before = process.cpuUsage();
      results[index]?.together.push(await timed(run, AT_A_TIME));
      const { user, system } = process.cpuUsage(before);
      results[index]?.cpu.push((user + system) / CALLS);
    }
  }
  process.stdout.write(`${key.algorithm.padEnd(34)}us alone   us of ${AT_A_TIME} at a time   us of processor\n`);
  for (const { name, alone, together, cpu } of results) {
    process.stdout.write(
      `  ${name.padEnd(32)}${text(median(alone))}   ${text(median(together))}   ${text(median(cpu))}\n`,
    );
  }
}

function contendersFor(key: TestKey): readonly Contender[] {
  const ring = ringOf([key]);
  const compact = mint(key);
  const jws = compactJwsFrom(compact, rules.maxBytes);
  const webKey = ring.keyFor(issuer, key.keyId, key.algorithm);
  if (isDeny(jws) || isDeny(webKey)) throw new Error('the token or its key is not sound');
  const keyObject = createPublicKey(key.privateKey);
  const proof = proofBy(key);
  return [
    { name: 'jose, Web Crypto (in use)', run: () => verifiedPayloadFrom(jws, webKey) },
    { name: 'node:crypto, synchronous', run: () => mustVerify(compact, keyObject, key) },
    { name: 'verifyTaskToken, whole', run: () => verifyTaskToken(compact, rules, ring, nowMs) },
    { name: 'proofFrom, whole', run: () => proofFrom([proof], request) },
    { name: 'SHA-256 of the token', run: () => createHash('sha256').update(compact).digest('base64url') },
  ];
}

/** What a synchronous `verifiedPayloadFrom` would do. */
function mustVerify(compact: string, key: KeyObject, { algorithm }: TestKey): void {
  const parts = jwsPartsFrom(compact, rules.maxBytes);
  if (isProblem(parts)) throw new Error(parts.problem);
  const input = Buffer.from(compact.slice(0, compact.lastIndexOf('.')));
  const digest = algorithm === 'Ed25519' ? null : 'sha256';
  if (!verify(digest, input, { key, dsaEncoding: 'ieee-p1363' }, parts.signature)) throw new Error('not verified');
}

/** Microseconds of one call, with so many under way at a time. */
async function timed(run: () => unknown, atATime: number): Promise<number> {
  const start = performance.now();
  for (let call = 0; call < CALLS; call += atATime) {
    await Promise.all(Array.from({ length: atATime }, run));
  }
  return ((performance.now() - start) * 1000) / CALLS;
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;

const text = (microseconds: number): string => microseconds.toFixed(1).padStart(8);

for (const key of [es256Key(), ed25519Key(), rs256Key()]) await measure(key);
