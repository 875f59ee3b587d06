/** Every lint rule, by its id. */
import type { CatalogRemark } from '../../../core/action/catalog/catalog-remarks.ts';
import { cedarString } from '../../../core/policy/cedar-text.ts';
import { MAX_POLICY_DEPTH, policyDepth } from '../../../core/policy/loading/depth.ts';
import { readsIntent } from './forbid-index.ts';
import { growthBy } from './growth.ts';
import { pathOf, recordExpression, touches, visit } from './expression.ts';
import type { Path } from './expression.ts';
import type { LintedPolicy } from './linted-policy.ts';
import { policyOffset } from './linted-policy.ts';
import type { Complaint, LintedSet, LintRule } from './lint-rule.ts';
import { unknownValue } from './unknown-value.ts';

/** Rules about the catalog by id, reported by the catalog itself as `remarks`. */
export const catalogRules = new Map<
  CatalogRemark['rule'] | 'expired-exception' | 'observed-nothing' | 'unlimited-amount',
  string
>([
  ['query-arguments', 'an entry that reads query arguments and does not declare its body'],
  ['lookalike-path', 'a path parameter that matches another spelling of another route'],
  ['expired-exception', 'an exception of `staticSecrets` whose last day is over'],
  ['observed-nothing', 'an entry of `enforcement.yaml` that has ended, or names a host of a server of the catalog'],
  ['unlimited-amount', 'an action of high risk with an amount that no entry of `limits.yaml` sums'],
]);

/** The rule about templates, by id. */
export const templateRules = new Map([['unlinked-template', 'a template without links']] as const);

/** Rules about policies by id, in documentation order. */
export const lintRules: ReadonlyMap<string, LintRule> = new Map<string, LintRule>([
  [
    'permit-any-agent',
    {
      about: 'a permit that any agent of any accepted trust domain can use',
      level: 'warning',
      check: permitAnyAgent,
    },
  ],
  ['never-matches', { about: 'a policy that can never match', level: 'warning', check: neverMatches }],
  [
    'unknown-value',
    {
      about: 'a label, action, risk, argument, agent or other name that no request has',
      level: 'warning',
      check: unknownValue,
    },
  ],
  [
    'forbidden-anyway',
    { about: 'a permit without effect, since a forbid covers all of it', level: 'warning', check: forbiddenAnyway },
  ],
  [
    'permitted-anyway',
    {
      about: 'a permit that adds nothing, since another permit covers all of it',
      level: 'note',
      check: permittedAnyway,
    },
  ],
  [
    'high-risk-any-intent',
    {
      about: 'an action of high risk that is permitted for any intent',
      level: 'warning',
      check: highRiskAnyIntent,
    },
  ],
  [
    'self-asserted',
    {
      about: 'a policy that grants by `context.claimed`, which the agent claims and nobody checks',
      level: 'warning',
      check: selfAsserted,
    },
  ],
  [
    'depth-near-limit',
    { about: 'a policy whose nesting is close to the limit of the engine', level: 'warning', check: deep },
  ],
  ['in-on-string', { about: '`in` on a string: `in` is for entities only', level: 'warning', check: inOnString }],
  [
    'token-life',
    {
      about: 'a policy that bounds the life of a token and not that of its task',
      level: 'warning',
      check: tokenLife,
    },
  ],
  [
    'expired-policy',
    { about: 'a policy that matches until an instant, which is over', level: 'warning', check: expiredPolicy },
  ],
  ['ends-soon', { about: 'a permit that ends within 30 days by its `@until`', level: 'note', check: endsSoon }],
  [
    'per-use-value',
    {
      about: 'a policy that reads a value that changes with each use, so its decisions are not reused',
      level: 'note',
      check: perUse,
    },
  ],
]);

const complaint = (message: string, help: string | null = null, offset = 0): readonly Complaint[] => [
  { message, help, offset },
];

function permitAnyAgent({ effect, principal, paths }: LintedPolicy): readonly Complaint[] {
  if (effect === 'forbid' || principal.entities !== null || paths.some(([variable]) => variable === 'principal'))
    return [];
  return complaint('any agent can use this permit', 'name an agent, a group or a trust domain as `principal`');
}

function neverMatches(policy: LintedPolicy, { reach, vocabulary }: LintedSet): readonly Complaint[] {
  const near = ({ entities }: LintedPolicy['principal']): string | null => {
    const unmet = entities?.flatMap((uid) => vocabulary.unmetEntity(uid)?.near ?? []) ?? [];
    return unmet.length === 0 ? null : `did you mean ${unmet.map((name) => cedarString(name)).join(', ')}?`;
  };
  if (reach.of(policy).size === 0)
    return complaint(
      'the policy can never match: no action of the catalog is at such a resource',
      near(policy.resource),
    );
  if (reach.hasAgents(policy)) return [];
  const named = policy.principal.entities?.map(({ id }) => cedarString(id)).join(', ');
  return complaint(`the policy can never match: no agent of the entities is in ${named}`, near(policy.principal));
}

function forbiddenAnyway(policy: LintedPolicy, { forbids, reach }: LintedSet): readonly Complaint[] {
  if (policy.effect === 'forbid') return [];
  const requests = reach.of(policy);
  if (requests.size === 0) return [];
  const forbid = forbids.about(policy).find((other) => covers(other, policy, reach));
  return forbid === undefined ? [] : complaint(`the permit has no effect: \`${forbid.id}\` forbids all of it`);
}

/** Whether a policy matches whatever another policy matches, by their heads and their conditions as they are written. */
const covers = (other: LintedPolicy, policy: LintedPolicy, reach: LintedSet['reach']): boolean =>
  isSubset(reach.of(policy), reach.of(other)) &&
  reach.includes(other.principal, policy.principal) &&
  isSubset(other.conditions, policy.conditions);

/** Of permits that cover each other, all but the first add nothing. A permit that ends covers none that ends later. */
function permittedAnyway(policy: LintedPolicy, { permits, reach, nowMs }: LintedSet): readonly Complaint[] {
  const { untilMs = null } = policy;
  const isOver = untilMs !== null && untilMs <= nowMs;
  if (policy.effect === 'forbid' || policy.shadow || isOver || reach.of(policy).size === 0) return [];
  let isBefore = true;
  for (const other of permits.about(policy)) {
    if (other === policy) {
      isBefore = false;
      continue;
    }
    const [until, own] = [other.untilMs ?? Infinity, untilMs ?? Infinity];
    if (until <= nowMs || until < own || !covers(other, policy, reach)) continue;
    const isMutual = until === own && covers(policy, other, reach);
    if (isBefore || !isMutual)
      return complaint(`the permit adds nothing: \`${other.id}\` permits all of it`, 'delete it, or narrow the other');
  }
  return [];
}

const isSubset = <T>(of: ReadonlySet<T>, whole: ReadonlySet<T>): boolean => [...of].every((item) => whole.has(item));

function highRiskAnyIntent(policy: LintedPolicy, { forbids, reach }: LintedSet): readonly Complaint[] {
  if (policy.effect === 'forbid' || readsIntent(policy)) return [];
  const open = [...reach.of(policy)].filter((request) => request.risk === 'high' && !forbids.asksForIntent(request));
  if (open.length === 0) return [];
  const named = open.slice(0, 3).map(({ action }) => `\`${action}\``);
  const more = open.length > named.length ? ` and ${open.length - named.length} more` : '';
  return complaint(
    `permits ${named.join(', ')}${more} of high risk for any intent`,
    'test `context.intent.purpose` or `context.intent.actions`, here or in a forbid for every agent',
  );
}

const CLAIMED: Path = ['context', 'claimed'];

/** A claim must not make a permit match, or keep a forbid from matching; it may narrow a permit. */
function selfAsserted(policy: LintedPolicy): readonly Complaint[] {
  const grants = policy.effect === 'permit' ? 'up' : 'down';
  const isGranting = policy.clauses.some(({ kind, body }) => {
    const growth = growthBy(CLAIMED, body);
    if (growth === null || growth === 'both') return growth === 'both';
    return (kind === 'when') === (growth === grants);
  });
  if (!isGranting) return [];
  const what = policy.effect === 'permit' ? 'permits by' : 'can be avoided by';
  return complaint(
    `${what} \`context.claimed\`, which the agent claims and nobody checks`,
    'test attested values: `context.attested.contains({name: "…", value: "…", by: "spiffe://…"})`',
    policyOffset(policy, written(CLAIMED)),
  );
}

/** Two thirds of the depth limit, which itself is about half of what the engine can take. */
const DEEP = Math.floor((MAX_POLICY_DEPTH * 2) / 3);

function deep({ tokens }: LintedPolicy): readonly Complaint[] {
  const depth = policyDepth(tokens);
  return depth <= DEEP
    ? []
    : complaint(`nests ${depth} deep; beyond ${MAX_POLICY_DEPTH} the set is refused`, 'split it into several policies');
}

function inOnString(policy: LintedPolicy): readonly Complaint[] {
  const found: Complaint[] = [];
  for (const body of policy.bodies) {
    visit(body, (operator, operand) => {
      if (operator !== 'in') return;
      const { left, right } = recordExpression(operand);
      const path = pathOf(left);
      // No context value is an entity.
      if (path?.[0] !== 'context' && !isText(left) && !isTexts(right)) return;
      const offset = policyOffset(policy, [...(path === null ? [] : written(path)), 'in']);
      found.push({ message: '`in` is for entities, not for strings', help: 'write `["…"].contains(…)`', offset });
    });
  }
  return found;
}

/** A path in its usual notation, token by token. */
const written = (path: Path): readonly string[] => path.flatMap((name, at) => (at === 0 ? [name] : ['.', name]));

const isText = (expression: unknown): boolean => typeof recordExpression(expression)['Value'] === 'string';

function isTexts(expression: unknown): boolean {
  const set = recordExpression(expression)['Set'];
  return isText(expression) || (Array.isArray(set) && set.some(isText));
}

const TOKEN_LIFE: Path = ['context', 'ttlSeconds'];
const TASK_LIFE: Path = ['context', 'taskSeconds'];

/** The configuration of the issuer already makes tokens short-lived, and the task gets further tokens. */
function tokenLife(policy: LintedPolicy): readonly Complaint[] {
  const reads = ([first, second]: Path): boolean =>
    policy.paths.some((path) => path[0] === first && path[1] === second);
  if (!reads(TOKEN_LIFE) || reads(TASK_LIFE)) return [];
  return complaint(
    'reads `context.ttlSeconds`, the life of one token: the task gets further tokens until its deadline',
    'bound the task by `context.taskSeconds`',
    policyOffset(policy, written(TOKEN_LIFE)),
  );
}

const NOW: Path = ['context', 'now'];

/** `@until("…")`, or `when { context.now < datetime("…") }`, alone or joined by `&&` with others. */
function expiredPolicy(policy: LintedPolicy, { nowMs }: LintedSet): readonly Complaint[] {
  if (policy.untilMs !== undefined && policy.untilMs <= nowMs)
    return complaint(
      `ended on ${dayOf(policy.untilMs)} by its \`@until\`: it counts as absent`,
      'delete it, or let its owner answer for a later day',
      policyOffset(policy, UNTIL),
    );
  for (const condition of policy.conditions) {
    const until = condition.startsWith('unless ') ? null : untilOf(JSON.parse(condition));
    if (until === null || !(Date.parse(until) <= nowMs)) continue;
    return complaint(
      `matches until \`${until}\` only, which is over`,
      'delete it, or let its owner answer for a later instant',
      policyOffset(policy, written(NOW)),
    );
  }
  return [];
}

/** Days before its end from which a permit is reported. */
const SOON_DAYS = 30;
const UNTIL = ['@', 'until'];
const DAY_MS = 86_400_000;
const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

function endsSoon(policy: LintedPolicy, { nowMs }: LintedSet): readonly Complaint[] {
  const { untilMs = Infinity } = policy;
  if (untilMs <= nowMs || untilMs - nowMs > SOON_DAYS * DAY_MS) return [];
  const days = Math.ceil((untilMs - nowMs) / DAY_MS);
  return complaint(
    `ends on ${dayOf(untilMs)}, ${days === 1 ? 'within a day' : `within ${days} days`}: from then on it counts as absent`,
    'let its owner answer for a later day, or let it end',
    policyOffset(policy, UNTIL),
  );
}

/** The instant before which `context.now` must be; `null` if a condition asks something else. */
function untilOf(condition: unknown): string | null {
  const { '<': before, '<=': upTo } = recordExpression(condition);
  const { left, right } = recordExpression(before ?? upTo);
  const [instant] = [recordExpression(right)['datetime']].flat();
  const text = recordExpression(instant)['Value'];
  return pathOf(left)?.join('.') === NOW.join('.') && typeof text === 'string' ? text : null;
}

/** Values that differ with each use of a token. */
const PER_USE: readonly Path[] = [
  ['context', 'now'],
  ['context', 'intent', 'ageSeconds'],
  ['context', 'credential', 'uses'],
  ['context', 'credential', 'secondsLeft'],
  ['context', 'credential', 'reuse'],
];

function perUse(policy: LintedPolicy): readonly Complaint[] {
  return PER_USE.filter((value) => policy.paths.some((path) => touches(path, value))).flatMap((value) => {
    const message = `reads \`${value.join('.')}\`, which changes with each use`;
    return complaint(message, 'decisions that depend on it are not reused', policyOffset(policy, written(value)));
  });
}
