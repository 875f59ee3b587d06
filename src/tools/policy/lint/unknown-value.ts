import { isDeny } from '../../../core/decision/decision.ts';
import { spiffeIdFrom } from '../../../core/identity/spiffe-id.ts';
import { cedarString } from '../../../core/policy/cedar-text.ts';
import { NAMESPACE } from '../../../core/policy/namespace.ts';
import { askedFor, comparedTexts, lookedFor, namedEntities } from './comparison.ts';
import type { ComparedText } from './comparison.ts';
import type { LintedPolicy } from './linted-policy.ts';
import { nearestOf } from '../../../core/runtime/nearest-name.ts';
import type { Complaint, LintedSet } from './lint-rule.ts';
import type { Vocabulary } from './vocabulary.ts';

/** The parts of a policy that no request can match: texts that a value never has, names that do not exist, unknown entities. */
export function unknownValue(policy: LintedPolicy, set: LintedSet): readonly Complaint[] {
  const found = [
    ...policy.bodies.flatMap((body) => ofBody(body, policy, set.vocabulary)),
    ...nameComplaints(policy, set),
    ...scopeEntities(policy).flatMap((uid) => entityComplaint(uid, policy, set.vocabulary)),
  ];
  // Reported once, however often it occurs.
  return [...new Map(found.map((complaint) => [complaint.message, complaint])).values()];
}

function ofBody(body: unknown, policy: LintedPolicy, vocabulary: Vocabulary): readonly Complaint[] {
  const compared = comparedTexts(body);
  return [
    ...compared.flatMap((one) => textComplaint(one, policy, vocabulary)),
    ...claimComplaints(compared, policy),
    ...idComplaints(compared, policy),
    ...attestorComplaints(body, policy, vocabulary),
    ...namedEntities(body).flatMap((uid) => entityComplaint(uid, policy, vocabulary)),
  ];
}

const MAX_LISTED = 8;

function help(near: string | null, known: Iterable<string>): string | null {
  if (near !== null) return `did you mean ${cedarString(near)}?`;
  const all = [...known].toSorted();
  const listed = all.slice(0, MAX_LISTED).map((name) => cedarString(name));
  if (listed.length === 0) return null;
  return `known: ${listed.join(', ')}${all.length > MAX_LISTED ? ` and ${all.length - MAX_LISTED} more` : ''}`;
}

function textComplaint(
  { path, text, matches }: ComparedText,
  policy: LintedPolicy,
  { textsAt }: Vocabulary,
): readonly Complaint[] {
  const known = textsAt(path);
  const isMet = known === null || (matches === null ? known.has(text) : [...known].some(matches));
  if (isMet) return [];
  const value = `\`${path.join('.')}\``;
  const message =
    matches === null ? `${value} never has the value ${cedarString(text)}` : `${value} is never like "${text}"`;
  return [{ message, help: help(nearestOf(text, known), known), offset: offsetOfText(policy, text) }];
}

function claimComplaints(compared: readonly ComparedText[], policy: LintedPolicy): readonly Complaint[] {
  const claims = compared.filter(({ path, matches }) => path.join('.') === 'context.claimed' && !matches);
  return claims
    .filter(({ text }) => !text.includes('='))
    .map(({ text }) => ({
      message: `\`context.claimed\` never has the value ${cedarString(text)}`,
      help: 'a claim is `name=value`',
      offset: offsetOfText(policy, text),
    }));
}

/** Paths with SPIFFE IDs as text; the first two can also be users of other issuers. */
const IDS = new Set(['context.subject', 'context.actors', 'context.delegation.parent']);

function idComplaints(compared: readonly ComparedText[], policy: LintedPolicy): readonly Complaint[] {
  const ids = compared.filter(({ path, matches }) => IDS.has(path.join('.')) && matches === null);
  return ids.flatMap(({ path, text }) => {
    const id = text.startsWith('spiffe:') ? spiffeIdFrom(text) : null;
    if (id === null || !isDeny(id)) return [];
    const message = `\`${path.join('.')}\` never has the value ${cedarString(text)}: ${id.detail}`;
    return [{ message, help: null, offset: offsetOfText(policy, text) }];
  });
}

const ATTESTED = [
  ['context', 'attested'],
  ['context', 'delegation', 'attested'],
] as const;

function attestorComplaints(body: unknown, policy: LintedPolicy, vocabulary: Vocabulary): readonly Complaint[] {
  return ATTESTED.flatMap((path) => lookedFor(body, path)).flatMap((members) => {
    const by = members.get('by');
    return by === undefined
      ? []
      : entityComplaint({ type: `${NAMESPACE}::Agent`, id: by }, policy, vocabulary, isWriter);
  });
}

/** An attester need not be an agent of the folder: only an invalid SPIFFE ID is certainly wrong. */
const isWriter = (id: string): boolean => !isDeny(spiffeIdFrom(id));

function entityComplaint(
  uid: { readonly type: string; readonly id: string },
  policy: LintedPolicy,
  { unmetEntity }: Vocabulary,
  isLeft: (id: string) => boolean = () => false,
): readonly Complaint[] {
  const unmet = isLeft(uid.id) ? null : unmetEntity(uid);
  if (unmet === null) return [];
  const what = `${uid.type.replace(`${NAMESPACE}::`, '')} ${cedarString(uid.id)}`;
  return [
    {
      message: `${what} never occurs: ${unmet.because}`,
      help: help(unmet.near, []),
      offset: offsetOfText(policy, uid.id),
    },
  ];
}

/** Without groups: a group without agents makes the whole policy `never-matches`, which reports it. */
const scopeEntities = ({ principal }: LintedPolicy): NonNullable<LintedPolicy['principal']['entities']> =>
  (principal.entities ?? []).filter(({ type }) => type !== `${NAMESPACE}::AgentGroup`);

function nameComplaints(policy: LintedPolicy, { reach, vocabulary }: LintedSet): readonly Complaint[] {
  const asked = policy.bodies.flatMap(askedFor).filter(({ path }) => path[0] === 'context');
  if (asked.length === 0) return [];
  const shapes = [...new Set(Array.from(reach.of(policy), ({ action }) => action))].map(vocabulary.shapeOf);
  // An action without a shape is refused by the schema, which is reported elsewhere.
  if (shapes.length === 0 || shapes.includes(null)) return [];
  return asked.flatMap(({ path, name }) => {
    const known = new Set<string>();
    for (const shape of shapes) for (const one of shape?.namesAt(path.slice(1)) ?? []) known.add(one);
    if (known.has(name)) return [];
    const message = `\`${path.join('.')}\` never has \`${name}\` in an action that the policy covers`;
    return [{ message, help: help(nearestOf(name, known), known), offset: offsetOfName(policy, name) }];
  });
}

/** The first matching token after the annotations; the policy's start if there is none, such as with escapes. */
function offsetOfToken({ tokens }: LintedPolicy, texts: readonly string[]): number {
  const effect = tokens.findIndex(
    ({ text }, at) => (text === 'permit' || text === 'forbid') && tokens[at - 1]?.text !== '@',
  );
  return tokens.find(({ text }, at) => at > effect && texts.includes(text))?.start ?? 0;
}

const offsetOfText = (policy: LintedPolicy, text: string): number =>
  offsetOfToken(policy, [cedarString(text), `"${text}"`]);

const offsetOfName = (policy: LintedPolicy, name: string): number => offsetOfToken(policy, [name, cedarString(name)]);
