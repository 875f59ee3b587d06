import { createPrivateKey, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import type { AuthorityParts, ServingAuthority } from '../../../src/authority/feed/start-authority.ts';
import { startAuthority } from '../../../src/authority/feed/start-authority.ts';
import { sqliteEngine } from '../../../src/authority/feed/engine.ts';
import type { AuthorityEngine } from '../../../src/authority/feed/engine.ts';
import { postgresEngine } from '../../../src/authority/feed/postgres-engine.ts';
import { createAuthority } from '../../../src/dev/authority.ts';
import type { IssuedSvid, CertificateAuthority } from '../../../src/dev/authority.ts';
import { HeldSvid } from '../../../src/core/identity/held-svid.ts';
import { svidFrom } from '../../../src/core/identity/svid.ts';
import type { Svid, SvidSource } from '../../../src/core/identity/svid.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { after } from '../../../src/core/runtime/timers.ts';
import { AuthorityThread } from '../../../src/authority/state/sqlite/authority-thread.ts';
import type { PostgresState } from '../../../src/authority/state/postgres/postgres-state.ts';
import type { Task } from '../../../src/core/task/task.ts';
import { must } from '../../builders/must.ts';
import { issuer, taskNumber, tokenNumber } from '../../builders/task.ts';

export const PAYMENTS = 'https://payments.acme.test';
const HOUR_MS = 3_600_000;

/** An authority over a state file of its own. */
export interface Serving extends ServingAuthority {
  readonly state: AuthorityThread;
  readonly problems: string[];
  /** A task with one token for payments, numbered. */
  readonly declared: (n: number, change?: Partial<Task>) => Promise<Task>;
}

/** Starts one; the caller closes it. `around` puts something between it and its database. */
export async function serving(
  folder: string,
  {
    around = (engine) => engine,
    ...change
  }: Partial<AuthorityParts> & { readonly around?: (engine: AuthorityEngine) => AuthorityEngine } = {},
): Promise<Serving> {
  const problems: string[] = [];
  const state = must(
    await AuthorityThread.open(join(folder, 'state.db'), {
      ...systemPorts,
      onFatal: ({ detail }) => problems.push(detail),
    }),
  );
  const started = await startAuthority({
    listen: [{ kind: 'unix', path: join(folder, 'authority.sock') }],
    sidecars: () => [{ id: 'spiffe://acme.test/ns/*/sa/tools-*', audiences: [PAYMENTS] }],
    leaseMs: 2_000,
    engine: around(sqliteEngine(state)),
    reports: state.authority,
    digestKey: must(state.reader.digestKey()),
    issuer,
    jwks: () => ({ keys: [] }),
    svid: null,
    version: '0.2.0',
    ports: systemPorts,
    after,
    onProblem: (line) => problems.push(line),
    ...change,
  });
  if ('problem' in started && typeof started.problem === 'string') throw new Error(started.problem);
  const authority = started as ServingAuthority;
  return {
    ...authority,
    state,
    problems,
    declared: async (n, of = {}) => {
      const nowMs = Date.now();
      const times = { createdAtMs: nowMs, lastUsedMs: nowMs, deadlineMs: nowMs + HOUR_MS };
      const task = taskNumber(n, { ...times, ...of });
      must(
        await state.authority.insertTask(
          task,
          { ...tokenNumber(n), issuedAtMs: nowMs, expiresAtMs: nowMs + HOUR_MS },
          [],
        ),
      );
      return task;
    },
    close: async () => {
      await authority.close();
      await state.close();
    },
  };
}

/** An authority over a PostgreSQL that is open, on a Unix socket in the folder. */
export const servingPostgres = (
  state: PostgresState,
  {
    folder,
    leaseMs,
    ...change
  }: { readonly folder: string; readonly leaseMs: number } & Pick<Partial<AuthorityParts>, 'jwks' | 'readKeys'>,
): ReturnType<typeof startAuthority> =>
  startAuthority({
    listen: [{ kind: 'unix', path: join(folder, 'authority.sock') }],
    sidecars: () => [{ id: 'spiffe://acme.test/ns/*/sa/tools-*', audiences: [PAYMENTS] }],
    leaseMs,
    engine: postgresEngine(state),
    reports: state.authority,
    digestKey: state.digestKey,
    issuer,
    jwks: () => ({ keys: [] }),
    svid: null,
    version: '0.2.0',
    ports: systemPorts,
    after,
    onProblem: () => undefined,
    ...change,
  });

/** The key of a declared task. */
export const keyOf = (n: number) => ({ issuer, id: taskNumber(n).id });
export const digestOf = (n: number): string => tokenNumber(n).jtiDigest;

/** An SVID of a trust domain, as a process holds it. */
export function svidOf(issued: IssuedSvid, { bundlePem }: Pick<CertificateAuthority, 'bundlePem'>): Svid {
  const svid = svidFrom(
    {
      chain: [new X509Certificate(issued.certPem)],
      key: createPrivateKey(issued.keyPem),
      bundle: [new X509Certificate(bundlePem)],
      federated: new Map(),
    },
    Date.now(),
  );
  if ('problem' in svid) throw new Error(svid.problem);
  return svid;
}

/** A source that a test renews. */
export function heldSvid(first: Svid): SvidSource & { readonly renew: (svid: Svid) => void } {
  const held = new HeldSvid({ nowMs: Date.now, after });
  held.offer(first);
  return {
    current: () => held.current(),
    problem: () => held.problem(),
    refusal: () => held.refusal(),
    onChange: (listener) => held.onChange(listener),
    close: () => held.close(),
    renew: (svid) => held.offer(svid),
  };
}

export const trustDomain = (name: string): Promise<CertificateAuthority> => createAuthority(name, systemPorts);
