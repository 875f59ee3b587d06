import { type ChildProcess, spawn } from 'node:child_process';
import { rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { writeBundle, writeCredential } from '../../../src/dev/authority.ts';
import type { IssuedSvid } from '../../../src/dev/authority.ts';
import type { SpiffeId } from '../../../src/core/identity/spiffe-id.ts';
import type { IssuerPlace } from '../../../src/agent/task/issuer-call.ts';
import { isStoreFailure } from '../../../src/core/runtime/store-failure.ts';
import type { Store } from '../../../src/core/state/store.ts';
import { ProofMemory } from '../../../src/core/token/proof/proof-memory.ts';
import { stateAt } from '../../../src/core/task/task.ts';
import type { Task } from '../../../src/core/task/task.ts';
import { audience, type Bench, type BenchChange, issuerUrl, startBench } from '../../authority/issuer/bench.ts';

const issuerId = 'spiffe://acme.test/ns/remit/sa/issuer' as SpiffeId;

/** A running issuer and a workload of its trust domain, with its SVID in files. */
export interface RunDomain {
  readonly folder: string;
  readonly store: Store;
  readonly authority: Bench['authority'];
  readonly spans: Bench['spans'];
  readonly place: IssuerPlace;
  /** The options that name the issuer and the SVID. */
  readonly options: readonly string[];
  readonly intent: string;
  /** Replaces certificate and key of the workload by new ones, with another thumbprint. */
  readonly rotate: () => Promise<IssuedSvid>;
  readonly task: (id: string) => Task | null;
  readonly stateOf: (id: string) => string;
  readonly close: () => Promise<void>;
}

interface RunDomainOptions {
  readonly tokenSeconds?: number;
  /** `stoppedTaskWaitSeconds` of the issuer. */
  readonly waitSeconds?: number | null;
  /** Further differences from a plain issuer. */
  readonly change?: BenchChange;
}

/** Starts the issuer, with tokens that live for `tokenSeconds`. Its certificate names another host. */
export async function startRunDomain(
  folder: string,
  { tokenSeconds = 300, waitSeconds = null, change = {} }: RunDomainOptions = {},
): Promise<RunDomain> {
  const bench = await startBench(folder, {
    ...change,
    settings: { tokenSeconds, stoppedTaskWaitSeconds: waitSeconds, ...change.settings },
    // As a process has them: no proof from before its start.
    proofs: new ProofMemory({ pastSeconds: 60, startedAtMs: Date.now() - 60_000 }),
  });
  const bundle = await writeBundle(folder, 'bundle', bench.authority);
  const planner = await writeCredential(folder, 'planner', bench.planner);
  await writeCredential(folder, 'reporter', bench.reporter);
  const url = `https://localhost:${bench.port}`;
  const intent = join(folder, 'intent.yaml');
  await writeFile(intent, intentText());
  const { store } = bench;
  const task = (id: string): Task | null => {
    const found = store.taskOf(issuerUrl, id);
    return found === undefined || isStoreFailure(found) ? null : found;
  };
  const rotate = async (): Promise<IssuedSvid> => {
    const next = await bench.authority.svid('/ns/agents/sa/planner');
    // Key first, as spiffe-helper may do it: for a moment the two do not match.
    await writeCredential(folder, 'next', next);
    await rename(join(folder, 'next.key'), planner.key);
    await rename(join(folder, 'next.pem'), planner.certificate);
    return next;
  };
  return {
    folder,
    store,
    authority: bench.authority,
    spans: bench.spans,
    place: { url, id: issuerId, svid: { kind: 'files', ...planner, bundle } },
    options: [
      '--issuer',
      url,
      '--issuer-id',
      issuerId,
      '--svid-cert',
      planner.certificate,
      '--svid-key',
      planner.key,
      '--bundle',
      bundle,
    ],
    intent,
    rotate,
    task,
    stateOf: (id) => {
      const found = task(id);
      return found === null ? 'none' : stateAt(found, store.nowMs());
    },
    close: bench.close,
  };
}

/** The text of an intent file for payments.read. */
export const intentText = (actions = ['payments.read'], resources = [audience]): string =>
  stringify({
    purpose: 'pay the invoices of may',
    access: resources.map((resource) => ({ resource, actions })),
    expires_in: '15m',
  });

/** A `remit` process of a test. */
export interface Started {
  readonly process: ChildProcess;
  /** Its whole output so far. */
  readonly out: () => string;
  readonly err: () => string;
  /** Waits until stdout matches, at most 90 s. */
  readonly said: (pattern: RegExp) => Promise<RegExpExecArray>;
  readonly ended: Promise<Ended>;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

/** Shared by all starts, which halves their time. */
const compileCache = join(tmpdir(), 'remit-test-compile-cache');

const entry = join(import.meta.dirname, '../../../src/main.ts');

/** The command line that starts `remit` as a separate program. */
export const remitProgram: readonly string[] = [process.execPath, '--no-warnings', entry];

/** Starts `remit run` or `remit token` in a minimal environment, extended by `environment`. */
export function startCommand(
  words: readonly string[],
  { environment = {}, input = '' }: { readonly environment?: Record<string, string>; readonly input?: string } = {},
): Started {
  const [node = '', ...args] = [...remitProgram, ...words];
  const child = spawn(node, args, {
    env: { PATH: process.env['PATH'] ?? '', NODE_COMPILE_CACHE: compileCache, ...environment },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  const waiting = new Set<() => void>();
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
    for (const look of waiting) look();
  });
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  child.stdin.on('error', () => undefined).end(input);
  const ended = new Promise<Ended>((resolve) => {
    child.once('exit', (code, signal) => {
      // A command that outlives its wrapper keeps the pipes open.
      const done = (): void => resolve({ code, signal, out, err });
      child.once('close', done);
      setTimeout(done, 3_000).unref();
    });
  });
  const said = (pattern: RegExp): Promise<RegExpExecArray> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no ${String(pattern)} in: ${out}\n${err}`)), 90_000);
      const look = (): void => {
        const match = pattern.exec(out);
        if (match === null) return;
        clearTimeout(timer);
        waiting.delete(look);
        resolve(match);
      };
      waiting.add(look);
      look();
    });
  return { process: child, out: () => out, err: () => err, said, ended };
}

/** The claims of a token, unverified. */
export const claimsOf = (token: string): Record<string, unknown> =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>;

/** Waits until `holds`, polling every 50 ms, at most `withinMs`. Gives whether it came true. */
export async function comesTrue(holds: () => boolean, withinMs = 60_000): Promise<boolean> {
  const end = Date.now() + withinMs;
  while (!holds() && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 50));
  return holds();
}
