/** Tries a policy set with made-up agents that no entity names. */
import { actionOf } from '../../core/action/http/http.ts';
import type { ArgumentValue } from '../../core/action/http/http.ts';
import type { ArgumentSpec, CatalogAction } from '../../core/action/catalog/catalog.ts';
import { isDeny } from '../../core/decision/decision.ts';
import { spiffeIdFrom, type SpiffeId } from '../../core/identity/spiffe-id.ts';
import type { PolicySet } from '../../core/policy/loading/load.ts';
import { useQuestion } from '../../core/policy/use-question.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { caseFacts } from '../policy/cases/case-facts.ts';
import { rehearse } from '../policy/cases/rehearse.ts';
import { DEFAULT_LIVES, plainCircumstances, type CaseCircumstances } from '../policy/cases/test-case.ts';

/** The agents and the instants with which a set is tried. */
export interface ProbeOptions {
  /** The trust domains of the made-up agents. */
  readonly trustDomains: readonly string[];
  /** Milliseconds since the Unix epoch. */
  readonly instants: readonly number[];
}

/** Arguments at both ends of what they can be. */
const EXTREMES: readonly Readonly<Record<ArgumentSpec['type'], ArgumentValue>>[] = [
  { string: '', long: 0, bool: false, decimal: { decimal: '0.0' }, strings: [] },
  {
    string: 'remit-probe',
    long: Number.MAX_SAFE_INTEGER,
    bool: true,
    decimal: { decimal: '922337203685477.5807' },
    strings: ['remit-probe'],
  },
];

/** The kinds of credential that every agent can have. */
const CREDENTIALS = ['task-token', 'workload-identity'] as const;

/**
 * The trust domain any of whose agents a set lets do everything; `null` if there is none. In each domain a made-up agent that no
 * entity names asks for a token for each action, and makes the call with the least and with the greatest arguments, in a task of
 * low and of high risk; or, if the action accepts that, makes the call without a token. A set that denies none of this restricts
 * nothing that was tried, in however many policies its permission is written.
 */
export function openDomainOf(set: PolicySet, { trustDomains, instants }: ProbeOptions): string | null {
  const actions = [...set.catalog.actions.values()];
  if (!set.ready || actions.length === 0) return null;
  const isOpenTo = (agent: SpiffeId, nowMs: number): boolean =>
    actions.every((action) =>
      CREDENTIALS.some(
        (kind) => action.accepts.has(kind) && allowsAll(set, action, circumstancesOf(agent, kind, nowMs)),
      ),
    );
  return (
    trustDomains.find((domain) => {
      const agent = spiffeIdFrom(`spiffe://${domain}/remit-probe/nobody`);
      return !isDeny(agent) && instants.some((nowMs) => isOpenTo(agent, nowMs));
    }) ?? null
  );
}

function circumstancesOf(agent: SpiffeId, kind: (typeof CREDENTIALS)[number], nowMs: number): CaseCircumstances {
  const plain = plainCircumstances(agent);
  return { ...plain, nowMs, credential: { ...plain.credential, kind } };
}

function allowsAll(set: PolicySet, action: CatalogAction, plain: CaseCircumstances): boolean {
  const { kind } = plain.credential;
  const { task } = plain;
  const within = (risk: 'low' | 'high'): CaseCircumstances => ({
    ...plain,
    task: { ...task, risk, actions: [action.id] },
  });
  const all = [within('low'), within('high')];
  if (kind === 'task-token' && !all.every((circumstances) => isGranted(set, action, circumstances))) return false;
  return all.every((circumstances) => EXTREMES.every((values) => isAllowed(set, action, { circumstances, values })));
}

function isGranted(set: PolicySet, { id }: CatalogAction, circumstances: CaseCircumstances): boolean {
  const attempt = { kind: 'issue', action: id, ...DEFAULT_LIVES, delegation: null, stopped: null } as const;
  const tried = rehearse(attempt, circumstances, set);
  return !isProblem(tried) && !isDeny(tried.decision);
}

function isAllowed(
  set: PolicySet,
  action: CatalogAction,
  { circumstances, values }: { readonly circumstances: CaseCircumstances; readonly values: (typeof EXTREMES)[number] },
): boolean {
  const host = action.server.hosts.values().next().value ?? 'remit-probe.invalid';
  const written = { method: action.method, url: `https://${host}/`, headers: [], body: null };
  const facts = caseFacts(written, circumstances, set.catalog);
  if (isDeny(facts.call) || isDeny(facts.credential) || isDeny(facts.caller)) return false;
  const args = new Map(action.args.map(({ name, type }) => [name, values[type]]));
  const question = useQuestion(
    {
      call: facts.call,
      caller: facts.caller,
      credential: facts.credential,
      task: isDeny(facts.task) ? null : (facts.task ?? null),
      history: facts.history,
      action: actionOf(action, { args, isDecidedOnHeaders: false }),
      binding: 'certificate',
      use: facts.use,
      reuse: facts.reuse,
      nowMs: facts.nowMs,
    },
    set.catalog,
  );
  return set.ask(question).kind === 'permitted';
}
