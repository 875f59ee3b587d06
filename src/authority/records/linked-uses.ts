import { hash } from 'node:crypto';
import { isProblem } from '../../core/runtime/problem.ts';
import { canonicalJson } from '../../core/ledger/canonical-json.ts';
import { asSent } from '../../core/ledger/committed-use.ts';
import { leafFrom } from '../../core/ledger/proof/leaf.ts';
import type { LogReader } from '../../core/ledger/log/log-reader.ts';
import type { StoredLog } from '../../core/ledger/proof/verification.ts';

/** A record of kind `settled` in the log of a sidecar. */
export interface UseLink {
  /** Its number there. */
  readonly seq: number;
  readonly decisionId: string;
  readonly digest: string;
}

/** Whether the record that a link refers to is in the ledger of an authority, as the sidecar sent it. */
export type LinkFate = 'same' | 'other' | 'missing';

/** The links among the records of a log. */
export function* linksIn(entries: ReturnType<StoredLog['entries']>): Generator<UseLink> {
  for (const entry of entries) {
    if (!('seq' in entry) || !mayLink(entry.bytes)) continue;
    const leaf = leafFrom(entry.bytes);
    if (isProblem(leaf)) continue;
    const { kind, decisionId, digest } = leaf.record;
    if (kind !== 'settled' || typeof decisionId !== 'string' || typeof digest !== 'string') continue;
    yield { seq: leaf.seq, decisionId, digest };
  }
}

/** Compares a link with what a ledger has: by its index, so that no other record is read. */
export function linkFateOf({ decisionId, digest }: UseLink, ledger: LogReader): LinkFate {
  const use = ledger.useOf(decisionId);
  const leaf = use === undefined ? null : leafFrom(use.bytes);
  if (leaf === null || isProblem(leaf)) return 'missing';
  const text = canonicalJson(asSent(leaf.record));
  return typeof text === 'string' && hash('sha256', text, 'base64url') === digest ? 'same' : 'other';
}

/** Compares bytes first: parsing every record would take ten times as long. */
const mayLink = (bytes: Uint8Array): boolean =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes('"kind":"settled"');
