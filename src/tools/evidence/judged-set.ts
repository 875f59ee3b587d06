/** What the policies of a kept set restrict, and its exceptions. */
import { keptSource } from '../../core/ledger/log/kept-policies.ts';
import { freshCedar, type Cedar } from '../../core/policy/cedar.ts';
import type { ObserveEntry } from '../../core/policy/enforcement.ts';
import { policySetFrom, type PolicySet } from '../../core/policy/loading/load.ts';
import type { PolicyEntry } from '../../core/policy/loading/policy-file.ts';
import { idsOfType } from '../policy/lint/named-entities.ts';
import { isProblem, type Problem } from '../../core/runtime/problem.ts';
import { reachOf, type PermitReach } from './open-permits.ts';
import { openDomainOf, type ProbeOptions } from './set-probes.ts';
import type { SetTexts } from './set-texts.ts';

/** A policy of a set, as far as an auditor asks about it. */
export interface JudgedPolicy extends Pick<PolicyEntry, 'id' | 'effect' | 'file' | 'shadow' | 'reason'> {
  /** `null` for a forbid. */
  readonly reach: PermitReach | null;
  /** The end of a permit, in milliseconds since the Unix epoch; `null` without an `@until`. */
  readonly untilMs: number | null;
}

/** A set whose text was read and loaded. */
export interface JudgedSet {
  readonly hash: string;
  readonly policies: readonly JudgedPolicy[];
  /** The permits of everything that are enforced. */
  readonly openPermits: readonly string[];
  /** The trust domain whose made-up agents could do everything that was tried; `null` if none could. */
  readonly openTo: string | null;
  readonly observed: readonly ObserveEntry[];
  readonly set: PolicySet;
}

/** Most sets that are judged; nothing is known of further sets. */
const MAX_JUDGED = 64;
/** Most trust domains whose made-up agents try a set. */
const MAX_DOMAINS = 16;

/** How sets are judged. */
export interface JudgingOptions extends ProbeOptions {
  readonly texts: Pick<SetTexts, 'of'>;
  readonly onProgress: (done: number, all: number) => void;
}

/** Judges the first 64 sets; for each further set the result is a problem. */
export async function judgedSets(
  hashes: readonly string[],
  { onProgress, ...options }: JudgingOptions,
): Promise<ReadonlyMap<string, JudgedSet | Problem>> {
  const judged = new Map<string, JudgedSet | Problem>();
  for (const [index, hash] of hashes.entries()) {
    onProgress(index, hashes.length);
    const isBeyond = index >= MAX_JUDGED;
    judged.set(hash, isBeyond ? { problem: `only ${MAX_JUDGED} sets are looked at` } : await judgedSet(hash, options));
  }
  return judged;
}

/** Loads the text of a set and judges it; a problem if the text is not here, not believed, or does not load. */
async function judgedSet(
  hash: string,
  { texts, trustDomains, instants }: Omit<JudgingOptions, 'onProgress'>,
): Promise<JudgedSet | Problem> {
  const kept = texts.of(hash);
  if (kept === null) return { problem: 'its text is not kept beside this ledger' };
  if (isProblem(kept)) return { problem: `its text is not believed: it ${kept.problem}` };
  const set = await policySetFrom(keptSource(kept));
  if ('findings' in set) {
    const [first] = set.findings;
    return { problem: `its text does not load: ${first?.file ?? '?'}: ${first?.message ?? 'nobody says why'}` };
  }
  const cedar = freshCedar();
  const policies = set.policies.map((policy): JudgedPolicy => {
    const { id, effect, file, shadow, reason, untilMs = null } = policy;
    return { id, effect, file, shadow, reason, untilMs, reach: reachOf(policy, cedar) };
  });
  const named = set.policies.flatMap(({ text }) => domainsIn(text, cedar));
  const domains = [...new Set([...trustDomains, ...named, 'remit-probe.invalid'])].slice(0, MAX_DOMAINS);
  return {
    hash,
    policies,
    openPermits: policies.flatMap(({ id, reach, shadow }) => (reach === 'everything' && !shadow ? [id] : [])),
    openTo: openDomainOf(set, { trustDomains: domains, instants }),
    observed: set.observed,
    set,
  };
}

/** The trust domains that a policy names. Only their ids can be written with escapes, not the name of their type. */
function domainsIn(text: string, cedar: Pick<Cedar, 'policyToJson'>): readonly string[] {
  const form = text.includes('TrustDomain') ? cedar.policyToJson(text) : null;
  if (form?.type !== 'success') return [];
  return idsOfType(form.json, 'Remit::TrustDomain').filter((domain) => /^[a-z0-9._-]{1,255}$/.test(domain));
}
