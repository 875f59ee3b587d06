import { sourceTexts } from '../../core/policy/loading/source.ts';
import type { KeptPolicies } from '../../core/ledger/log/kept-policies.ts';
import { isProblem, type Problem } from '../../core/runtime/problem.ts';
import { MAX_NAMES } from './class-count.ts';
import { type LedgerPlace, refOf } from './counted.ts';
import type { JudgedSet } from './judged-set.ts';
import { type EvidenceMembers, fieldText } from './record-members.ts';
import { isoOf, type PolicySetSeen } from './report.ts';
import type { Tally } from './tally.ts';

const MAX_LOADS = 1_000;
/** Most policy text in one report; files beyond it are listed with their size only. */
const MAX_TEXT_BYTES = 2 * 1024 ** 2;

interface Load {
  readonly place: LedgerPlace;
  readonly record: EvidenceMembers;
}

/** The loads of policy sets up to the end of a period, gathered while their log is verified: the last 1,000. */
export class PolicyLoadsSeen {
  readonly #toMs: number;
  #loads: Load[] = [];

  constructor(toMs: number) {
    this.#toMs = toMs;
  }

  /** Adds the record of a load; any other is skipped. */
  see(place: LedgerPlace, record: EvidenceMembers): void {
    if (fieldText(record, 'kind') !== 'policy' || place.at >= this.#toMs) return;
    this.#loads.push({ place, record });
    if (this.#loads.length >= 2 * MAX_LOADS) this.#loads = [...this.all()];
  }

  /** By time. */
  all(): readonly Load[] {
    return this.#loads.toSorted((a, b) => a.place.at - b.place.at).slice(-MAX_LOADS);
  }
}

/**
 * The policy sets that decided in a period, took effect in it, or were in force when it began, with their loads up to its end and
 * their texts, as `textsOf` gives them.
 */
export function policySetsIn(
  { counts, loads, fromMs }: { readonly counts: Tally; readonly loads: PolicyLoadsSeen; readonly fromMs: number },
  textsOf: (hash: string) => KeptPolicies | Problem | null,
): readonly SetInPeriod[] {
  const inPeriod = new Set<string>(counts.policySets.named.map(({ name }) => name));
  const byHash = new Map<string, SetInPeriod['loads'][number][]>();
  /** By log: the last set that took effect before the period, and before its end. */
  const [before, last] = [new Map<string | null, string>(), new Map<string | null, string>()];
  for (const { place, record } of loads.all()) {
    const hash = fieldText(record, 'policySet');
    if (hash === null) continue;
    if (place.at >= fromMs) inPeriod.add(hash);
    else before.set(place.log, hash);
    last.set(place.log, hash);
    const by = fieldText(record, 'by') ?? 'not recorded';
    const load = { ref: refOf(place), at: isoOf(place.at), origin: originText(record), by };
    byHash.set(hash, [...(byHash.get(hash) ?? []), load]);
  }
  for (const hash of before.values()) inPeriod.add(hash);
  const atEnd = new Set(last.values());
  let room = MAX_TEXT_BYTES;
  return [...inPeriod].map((hash) => {
    const kept = textsOf(hash);
    const files = kept === null || isProblem(kept) ? [] : filesOf(kept, room);
    room -= files.reduce((sum, { bytes, text }) => sum + (text === null ? 0 : bytes), 0);
    const decisions = counts.policySets.named.find(({ name }) => name === hash)?.count ?? 0;
    const isInForce = atEnd.has(hash);
    return { hash, decisions, isInForce, loads: byHash.get(hash) ?? [], text: textState(kept), files };
  });
}

/** A set before its policies are judged. */
export type SetInPeriod = Omit<PolicySetSeen, 'judged' | 'results' | 'idle'>;

function originText(record: EvidenceMembers): string {
  const { origin } = record;
  if (typeof origin !== 'object' || origin === null || Array.isArray(origin)) return 'from where is not recorded';
  const of = origin as EvidenceMembers;
  if (fieldText(of, 'kind') === 'folder')
    return `from the folder ${fieldText(of, 'folder') ?? '?'}, which is not signed`;
  const name = fieldText(of, 'name');
  const named = name === null ? '' : `, named ${name}`;
  return `from ${fieldText(of, 'from') ?? '?'}${named}, version ${fieldText(of, 'version') ?? '?'}, serial ${JSON.stringify(of['serial'] ?? null)}, signed under ${signersText(of)}`;
}

/** Earlier versions recorded a single `keyId`. */
function signersText(of: EvidenceMembers): string {
  const { signers } = of;
  const names = Array.isArray(signers) ? signers.filter((name) => typeof name === 'string') : [];
  if (names.length > 1) return `the keys ${names.join(', ')}`;
  return `the key ${names[0] ?? fieldText(of, 'keyId') ?? 'without an id'}`;
}

function textState(kept: KeptPolicies | Problem | null): string {
  if (kept === null) return 'not kept beside this ledger';
  return isProblem(kept) ? `not believed: it ${kept.problem}` : 'kept, and it has this hash';
}

function filesOf(kept: KeptPolicies, room: number): PolicySetSeen['files'] {
  let left = room;
  return sourceTexts(kept).map(({ name, text }) => {
    const bytes = Buffer.byteLength(text);
    const fits = bytes <= left;
    if (fits) left -= bytes;
    return { name, bytes, text: fits ? text : null };
  });
}

/** The enforced policies of a set that decided no record; `null` if more policies decided than are counted by name. */
export function idlePolicies(
  { hash, policies }: Pick<JudgedSet, 'hash' | 'policies'>,
  { classes }: Pick<Tally, 'classes'>,
): readonly string[] | null {
  const all = [...classes.values()].map((of) => of.policies);
  if (all.some(({ length }) => length >= MAX_NAMES)) return null;
  const decided = new Set(all.flat().flatMap(({ set, id }) => (set === hash ? [id] : [])));
  return policies.flatMap(({ id, shadow }) => (shadow || decided.has(id) ? [] : [id]));
}
