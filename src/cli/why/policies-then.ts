/** The policies that decided a call, as they were then. */
import { freshCedar } from '../../core/policy/cedar.ts';
import type { KeptFile, KeptPolicies } from '../../core/ledger/log/kept-policies.ts';
import { cedarStatements } from '../../core/policy/cedar-text.ts';
import type { PolicyEntry } from '../../core/policy/loading/policy-file.ts';
import { policiesIn } from '../../core/policy/loading/policy-files.ts';
import { isLinksFile } from '../../core/policy/loading/source-names.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { SetTexts } from '../../tools/evidence/set-texts.ts';
import { readAll, recordReaders } from './read-record.ts';
import type { Read, ReadPolicySet } from './read-record.ts';
import type { SearchedLogs } from './searched-logs.ts';

/** A policy as it was. */
export interface PolicyThen {
  readonly id: string;
  /** As written; `null` if it is not kept. */
  readonly text: string | null;
  readonly file: string | null;
  readonly line: number | null;
}

/** A policy set as it was when something was decided by it. */
export interface PoliciesThen {
  /** Hash of the set. */
  readonly set: string;
  readonly policies: readonly PolicyThen[];
}

interface DecidedBy {
  readonly at: number;
  readonly policySet: string | null;
  readonly policyIds: readonly string[];
}

/** Where the texts of policies are found, and where a damaged text is reported. */
export interface ThenPlaces {
  readonly logs: Pick<SearchedLogs, 'fault'>;
  readonly texts: SetTexts;
}

/**
 * The policies that decided something, with their texts, which are taken from a folder or a ledger only if they have the hash of
 * the set. `null` if it was decided without policies.
 */
export function policiesThen({ policySet, policyIds }: Omit<DecidedBy, 'at'>, places: ThenPlaces): PoliciesThen | null {
  if (policySet === null) return null;
  const kept = policyIds.length === 0 ? null : keptIn(policySet, places);
  return { set: policySet, policies: kept === null ? policyIds.map(unkept) : textsOf(policyIds, kept) };
}

/** The last record before a decision by which its policy set came into force; `null` if there is none. */
export function inForceSince(
  { at, policySet }: Pick<DecidedBy, 'at' | 'policySet'>,
  logs: SearchedLogs,
): Read<ReadPolicySet> | null {
  if (policySet === null) return null;
  const filter = { kind: 'policy', policySet, untilMs: at + 1 };
  return readAll(logs, logs.found(filter, { limit: 1, isNewestFirst: true }), recordReaders.policy)[0] ?? null;
}

const unkept = (id: string): PolicyThen => ({ id, text: null, file: null, line: null });

function keptIn(set: string, { logs, texts }: ThenPlaces): KeptPolicies | null {
  const kept = texts.of(set);
  if (!isProblem(kept)) return kept;
  logs.fault(`the text of policy set \`${set}\` ${kept.problem}`);
  return null;
}

function textsOf(ids: readonly string[], { policies }: KeptPolicies): readonly PolicyThen[] {
  const read = policiesIn(
    policies.filter((file) => mayHave(file, ids)).map(({ name, text }) => ({ name, text, file: name })),
    freshCedar(),
  );
  const byId = new Map(read.policies.map((policy) => [policy.id, policy]));
  return ids.map((id) => {
    const policy = byId.get(id);
    if (policy === undefined) return unkept(id);
    const { file, line } = policy.link ?? policy;
    return { id, text: writtenIn(policies, policy), file, line };
  });
}

/** Whether a file can have one of these policies, or the template of one: the others of a large set are not parsed. */
const mayHave = ({ name, text }: KeptFile, ids: readonly string[]): boolean =>
  isLinksFile(name) || /\?(?:principal|resource)/.test(text) || ids.some((id) => text.includes(id));

/** The text of a policy as it was written: without the clause that the parser adds for `@until`. */
const writtenIn = (policies: readonly KeptFile[], { file, offset, link }: PolicyEntry): string | null => {
  if (link !== undefined) return link.text;
  const text = policies.find(({ name }) => name === file)?.text ?? '';
  return cedarStatements(text).find(({ start }) => start === offset)?.text ?? null;
};
