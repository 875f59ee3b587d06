import { type LedgerRecord } from '../../../src/core/ledger/record.ts';
import { Outcomes, type OutcomeRules } from '../../../src/sidecar/outcome/outcomes.ts';
import type { AwaitedUse } from '../../../src/sidecar/outcome/pending-uses.ts';
import { shownText } from '../../../src/core/action/secrets/static-secret.ts';
import type { LoggedDecision, ServedCall } from '../../../src/sidecar/outcome/served-call.ts';
import type { AnsweredCall } from '../../../src/sidecar/outcome/unsent-calls.ts';

/** The decision id with a number. */
export const decisionId = (n: number): string => `01990000-0000-7000-8000-${String(n).padStart(12, '0')}`;

/** An allowed use. */
export const useNumber = (n: number, kind: 'allow' | 'deny' = 'allow'): AwaitedUse => ({
  decisionId: decisionId(n),
  taskId: 'task-1',
  agent: 'spiffe://acme.test/planner',
  action: 'files.read',
  decision: { kind },
});

/** Our answer in the access log for a decision number. */
export const logged = (n: number, change: Partial<LoggedDecision> = {}): LoggedDecision => ({
  id: decisionId(n),
  kind: 'allow',
  task: 'logged-task',
  agent: 'spiffe://acme.test/logged',
  action: 'logged.action',
  ledger: null,
  ...change,
});

/** A call that an upstream answered, without a decision. */
export const servedCall = (change: Partial<ServedCall> = {}): ServedCall => ({
  state: 'ended',
  decision: null,
  status: 200,
  details: 'via_upstream',
  flags: [],
  durationMs: 12.5,
  upstreamMs: 3,
  requestBytes: 4,
  responseBytes: 5,
  attempts: 1,
  upstreamCluster: 'files',
  isFailureModeAllowed: false,
  peer: 'spiffe://acme.test/planner',
  method: 'GET',
  host: 'files.acme.test',
  path: '/v1/files/a',
  requestId: 'r-1',
  callName: null,
  ...change,
});

/** The name of a call, which its check and its log have. */
export const NAME = '1700000000.5 192.0.2.1 4711';

/** What is noted of a check with a number. */
export const answeredCall = (n: number, undo: (() => void) | null, callName: string | null = NAME): AnsweredCall => ({
  decisionId: decisionId(n),
  callName,
  span: { traceId: `trace-${n}`, spanId: `span-${n}` },
  undo,
});

/** A call that Envoy refused, since its check had no answer in time. */
export const refusedCall = (change: Partial<ServedCall> = {}): ServedCall =>
  servedCall({ status: 503, details: 'ext_authz_error', flags: ['UAEX'], attempts: 0, callName: NAME, ...change });

/** Outcomes with a clock that the test controls. */
export function heldOutcomes(rules: Partial<OutcomeRules> = {}) {
  const records: LedgerRecord[] = [];
  const lines: string[] = [];
  const observed: string[] = [];
  const fates: string[] = [];
  const ledger = {
    queued: 0,
    isOpen: true,
    append(record: LedgerRecord): boolean {
      if (ledger.isOpen) records.push(record);
      return ledger.isOpen;
    },
  };
  let nowMs = 1_000_000;
  let timers: { readonly dueMs: number; readonly run: () => void }[] = [];
  const outcomes = new Outcomes(
    {
      ledger,
      ports: { nowMs: () => nowMs, monotonicMs: () => nowMs },
      after: (delayMs, run) => {
        const timer = { dueMs: nowMs + delayMs, run };
        timers.push(timer);
        return () => (timers = timers.filter((other) => other !== timer));
      },
      newDecisionId: () => decisionId(999),
      log: (line) => lines.push(line),
      shown: (text) => shownText(text, (secret) => `digest-of-${secret.length}`),
      observer: {
        onOutcome: (name) => observed.push(name),
        onFate: (fate) => fates.push(fate),
        onFinding: (kind) => observed.push(kind),
      },
    },
    { expected: 'auto', timeoutSeconds: 60, ...rules },
  );
  /** Lets time pass, timer by timer. */
  const pass = async (ms: number): Promise<void> => {
    const endMs = nowMs + ms;
    for (;;) {
      const [next] = timers.filter((timer) => timer.dueMs <= endMs).toSorted((a, b) => a.dueMs - b.dueMs);
      if (next === undefined) break;
      timers = timers.filter((timer) => timer !== next);
      nowMs = Math.max(nowMs, next.dueMs);
      next.run();
      await Promise.resolve();
    }
    nowMs = endMs;
    await new Promise((resolve) => setImmediate(resolve));
  };
  const found = (): readonly (readonly [string, number, string | null])[] =>
    records.flatMap((record) =>
      record.kind === 'finding' ? [[record.finding, record.count, record.decisionId] as const] : [],
    );
  return { outcomes, records, lines, observed, fates, ledger, pass, found, pendingTimers: () => timers.length };
}
