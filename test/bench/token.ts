import { createHash, webcrypto } from 'node:crypto';
import { compactVerify } from 'jose';
import { isDeny } from '../../src/core/decision/decision.ts';
import { compactJwsFrom, signatureProblem } from '../../src/core/token/jose/compact-jws.ts';
import { proofFrom } from '../../src/core/token/proof/proof.ts';
import { verifyTaskToken } from '../../src/core/token/verify.ts';
import { proofBy, request } from '../core/token/proofs.ts';
import {
  ed25519Key,
  es256Key,
  issuer,
  mint,
  nowMs,
  ringOf,
  rs256Key,
  rules,
  type TestKey,
} from '../builders/tokens.ts';

/**
 * What it costs to verify a token's signature: at once with `node:crypto`, as in use, beside Web Crypto alone and jose over it, and
 * the whole of a task token and of a DPoP proof. The contenders take turns in one run; the median of the rounds is what counts:
 * one after the other (latency), 16 at a time (throughput of one process), and the processor time of this thread, which all checks
 * share, and of all threads, which is what a machine that is busy has to give.
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
  const contenders = await contendersFor(key);
  const results = contenders.map(({ name }) => ({
    name,
    alone: [] as number[],
    together: [] as number[],
    thread: [] as number[],
    threads: [] as number[],
  }));
  for (const { run } of contenders) await timed(run, 1);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [index, { run }] of contenders.entries()) {
      results[index]?.alone.push(await timed(run, 1));
      const [thread, all] = [process.threadCpuUsage(), process.cpuUsage()];
      results[index]?.together.push(await timed(run, AT_A_TIME));
      results[index]?.thread.push(perCall(process.threadCpuUsage(thread)));
      results[index]?.threads.push(perCall(process.cpuUsage(all)));
    }
  }
  process.stdout.write(`${key.algorithm.padEnd(28)}us alone   ${AT_A_TIME} at a time   of this thread   of all\n`);
  for (const { name, ...measured } of results) {
    const figures = [measured.alone, measured.together, measured.thread, measured.threads];
    process.stdout.write(`  ${name.padEnd(26)}${figures.map((values) => text(median(values))).join('      ')}\n`);
  }
}

const perCall = ({ user, system }: { readonly user: number; readonly system: number }): number =>
  (user + system) / CALLS;

async function contendersFor(key: TestKey): Promise<readonly Contender[]> {
  const ring = ringOf([key]);
  const compact = mint(key);
  const jws = compactJwsFrom(compact, rules.maxBytes);
  const held = ring.keyFor(issuer, key.keyId, key.algorithm);
  if (isDeny(jws) || isDeny(held)) throw new Error('the token or its key is not sound');
  const proof = proofBy(key);
  const web = await webKeyOf(key);
  const signed = Buffer.from(compact.slice(0, compact.lastIndexOf('.')));
  const parameters = { ...webParameters[key.algorithm], hash: 'SHA-256' };
  return [
    { name: 'node:crypto (in use)', run: () => signatureProblem(jws, held) },
    { name: 'Web Crypto', run: () => webcrypto.subtle.verify(parameters, web, Buffer.from(jws.signature), signed) },
    { name: 'jose, over Web Crypto', run: () => compactVerify(compact, web, { algorithms: [key.algorithm] }) },
    { name: 'verifyTaskToken, whole', run: () => verifyTaskToken(compact, rules, ring, nowMs) },
    { name: 'proofFrom, whole', run: () => proofFrom([proof], request) },
    { name: 'SHA-256 of the token', run: () => createHash('sha256').update(compact).digest('base64url') },
  ];
}

const webParameters = {
  ES256: { name: 'ECDSA', namedCurve: 'P-256' },
  Ed25519: { name: 'Ed25519' },
  RS256: { name: 'RSASSA-PKCS1-v1_5' },
} as const;

const webKeyOf = ({ algorithm, jwk }: TestKey): Promise<webcrypto.CryptoKey> =>
  webcrypto.subtle.importKey('jwk', { ...jwk }, { ...webParameters[algorithm], hash: 'SHA-256' }, false, ['verify']);

/** Microseconds of one call, with a fixed concurrency. */
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
