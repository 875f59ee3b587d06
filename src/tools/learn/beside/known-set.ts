import { isDeny } from '../../../core/decision/decision.ts';
import { spiffeIdFrom } from '../../../core/identity/spiffe-id.ts';
import type { CatalogAction } from '../../../core/action/catalog/catalog.ts';
import { NAMESPACE } from '../../../core/policy/namespace.ts';
import type { PolicySet } from '../../../core/policy/loading/load.ts';
import { builtInSchema, sourceTexts } from '../../../core/policy/loading/source.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import { caseFileFrom } from '../../policy/cases/case-file.ts';
import { rehearse } from '../../policy/cases/rehearse.ts';
import { DEFAULT_LIVES, plainCircumstances } from '../../policy/cases/test-case.ts';
import type { Attempt } from '../../policy/cases/test-case.ts';
import type { LearntCall } from '../learnt-call.ts';
import { recordedAttempt } from '../recorded-attempt.ts';
import { RememberedAnswers } from '../remembered-answers.ts';
import type { BaseCatalog } from '../accepted-catalog.ts';
import type { GivenAnswer } from './known-calls.ts';

/** The existing policy folder (`--policies`): its action for a call, and how its policies answer the call. */
export class KnownSet {
  readonly set: PolicySet;
  /** Its suites by file. */
  readonly suites: ReadonlyMap<string, string>;
  /** Agents of its entities, which nothing is added to. */
  readonly entities: ReadonlySet<string>;
  readonly #actions = new RememberedAnswers<CatalogAction | null>();
  readonly #answers = new RememberedAnswers<GivenAnswer>();

  /** @param suites the texts of its test cases, by file */
  constructor(set: PolicySet, suites: ReadonlyMap<string, string> = new Map()) {
    this.set = set;
    this.suites = suites;
    this.entities = new Set(
      [...set.facts.entities.values()].flatMap(({ uid }) => (uid.type === `${NAMESPACE}::Agent` ? [uid.id] : [])),
    );
  }

  /** Its catalog, into which learnt entries are merged. */
  get catalog(): BaseCatalog {
    const { source, catalog } = this.set;
    const remarks = new Set(catalog.remarks.map(({ message }) => message));
    return { files: new Map(source.catalogs.map(({ name, text }) => [name, text])), remarks };
  }

  /** The agents of its test cases. */
  get testedAgents(): ReadonlySet<string> {
    const cases = [...this.suites].flatMap(([name, text]) => {
      const read = name.endsWith('.yaml') ? caseFileFrom(text, name) : [];
      return 'findings' in read ? [] : read;
    });
    return new Set(cases.map(({ circumstances }) => circumstances.agent));
  }

  /** The action that the catalog has for a call; `null` if it has none. */
  actionOf(call: LearntCall): CatalogAction | null {
    if (call.action !== null) return this.set.catalog.actions.get(call.action) ?? null;
    const { method, host, path, shape } = call;
    return this.#actions.of(JSON.stringify([method, host, path, shape]), () => this.#foundFor(call));
  }

  /**
   * How the policies answer a call, and a request for a token for it. A recorded allow counts as permitted, a recorded denial by
   * policies only if it was decided by this very set. Otherwise the call is tried, with made-up values for arguments that are not
   * recorded.
   */
  answerTo({ agent, would, args = {}, policySet }: LearntCall, action: CatalogAction): GivenAnswer {
    if (policySet === this.set.hash && would === 'policy.not-permitted') return 'not-permitted';
    if (policySet === this.set.hash && would === 'policy.forbidden') return 'forbidden';
    const known = Object.entries(args).filter(([name]) => action.args.some((spec) => spec.name === name));
    const call: Attempt = { kind: 'action', action: action.id, args: Object.fromEntries(known) };
    const issue: Attempt = { kind: 'issue', action: action.id, ...DEFAULT_LIVES, delegation: null, stopped: null };
    const answers = new Set([
      would === 'allow' ? 'permitted' : this.#answerOf(agent, call),
      this.#answerOf(agent, issue),
    ]);
    if (answers.has('forbidden')) return 'forbidden';
    return answers.has('not-permitted') ? 'not-permitted' : 'permitted';
  }

  #answerOf(agent: string, attempt: Attempt): GivenAnswer {
    return this.#answers.of(JSON.stringify([agent, attempt]), () => this.#tried(agent, attempt));
  }

  #foundFor(call: LearntCall): CatalogAction | null {
    const caller = spiffeIdFrom(call.agent);
    const rehearsal = isDeny(caller)
      ? null
      : rehearse(recordedAttempt(call, this.set.catalog), plainCircumstances(caller), this.set);
    return rehearsal === null || isProblem(rehearsal) ? null : (rehearsal.target?.action ?? null);
  }

  #tried(agent: string, attempt: Attempt): GivenAnswer {
    const caller = spiffeIdFrom(agent);
    if (isDeny(caller)) return 'not-permitted';
    const rehearsal = rehearse(attempt, plainCircumstances(caller), this.set);
    if (isProblem(rehearsal)) return 'not-permitted';
    if (!isDeny(rehearsal.decision)) return 'permitted';
    return rehearsal.decision.reason === 'policy.forbidden' ? 'forbidden' : 'not-permitted';
  }
}

/**
 * The unchanged files of the existing folder, without those that `written` has: a learnt folder is complete by itself. The schema
 * is left out if it is that of this build.
 */
export function copiedFiles(
  { set: { source }, suites }: KnownSet,
  written: ReadonlySet<string>,
): ReadonlyMap<string, string | Uint8Array> {
  const { schema, descriptorSets } = source;
  const isOwnSchema = schema.text !== builtInSchema('').text;
  const texts = sourceTexts(source).filter((file) => file !== schema || isOwnSchema);
  const all: readonly (readonly [string, string | Uint8Array])[] = [
    ...texts.map(({ name, text }) => [name, text] as const),
    ...[...descriptorSets].flatMap(([name, bytes]) => (bytes instanceof Uint8Array ? [[name, bytes] as const] : [])),
    ...suites,
  ];
  return new Map(all.filter(([name]) => !written.has(name)));
}
