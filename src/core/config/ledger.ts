/** Reads the section `ledger`. */
import { dirname, join } from 'node:path';
import { bool, integer, optional, textOf } from '../runtime/fields.ts';
import { COSIGNATURE_TYPE, verifierKeyText } from '../runtime/verifier-key.ts';
import { listed, section } from './fields.ts';
import { pathIn } from './values.ts';

/** A witness that cosigns checkpoints. */
export interface LedgerWitness {
  /** Its submission prefix, without a trailing slash. */
  readonly url: string;
  /** The key of its cosignatures, `name+id+base64`. */
  readonly key: string;
}

/** Location and retention of the ledger. */
export interface LedgerConfig {
  /** Folder of its segments. Default `ledger` beside the state file. */
  readonly folder: string;
  /** Name that distinguishes the ledgers of a trust domain. It is part of the signed origin. Default `main`. */
  readonly name: string;
  /** Ed25519 key that signs checkpoints, PKCS#8 PEM, created if missing. Default `ledger-key.pem` beside the state file. */
  readonly keyFile: string;
  /** File to which each checkpoint is also appended, preferably on another disk. Default `checkpoints.txt` beside the state file. */
  readonly checkpointFile: string;
  /** Witnesses that cosign checkpoints; at most 64. Default none. */
  readonly witnesses: readonly LedgerWitness[];
  /** How often each witness is asked. Default 60 s, 5 to 86,400 s. */
  readonly witnessEveryMs: number;
  /** File of cosigned checkpoints, bounded by what a verification needs. Default `witnessed.txt` beside the state file. */
  readonly witnessedFile: string;
  /** Folders of earlier ledgers of the state file, so that the timeline of a task includes them. Default none. */
  readonly others: readonly string[];
  /** Size or age at which a new segment begins. Default 256 MiB, up to 16 GiB; 24 hours, up to 8,760. */
  readonly segment: { readonly maxBytes: number; readonly maxAgeMs: number };
  /**
   * Total size or age at which the oldest segments are deleted. Default: `null`, which is half of the disk; 400 days, up to
   * 36,500.
   */
  readonly retain: { readonly maxBytes: number | null; readonly maxAgeMs: number };
  /**
   * How many ledgers of authorities must have a record before it leaves their PostgreSQL, 1 to 7. Default: 2, or 1 with
   * `durability: single`, so that records survive what commits survive.
   */
  readonly copies: number;
  /** Whether the index for finding records is built automatically, of received records too. Default true. */
  readonly index: boolean;
}

/** The parsed section `ledger`; `null` is the default: beside the state file, or half of the disk. */
export interface LedgerFields {
  readonly folder: string | null;
  readonly name: string;
  readonly key: string | null;
  readonly checkpoints: string | null;
  readonly witnesses: readonly LedgerWitness[];
  readonly witnessSeconds: number;
  readonly witnessed: string | null;
  readonly others: readonly string[];
  readonly segmentMiB: number;
  readonly segmentHours: number;
  readonly retainGiB: number | null;
  readonly retainDays: number;
  readonly copies: number | null;
  readonly index: boolean;
}

/** Most authorities of a fleet. */
const MAX_COPIES = 7;
const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const logName = textOf<string>('a name of 1 to 64 letters, digits, `.`, `_` and `-`', (value) =>
  /^[A-Za-z0-9._-]{1,64}$/.test(value) ? value : { problem: `got \`${value}\`` },
);

const witnessUrl = textOf<string>('an `https:` or `http:` URL without query, fragment and trailing slash', (value) =>
  /^https?:\/\/[A-Za-z0-9.-]+(?::\d{1,5})?(?:\/[A-Za-z0-9._~/-]*[A-Za-z0-9._~-])?$/.test(value)
    ? value
    : { problem: 'invalid URL' },
);

const witnessKey = textOf<string>('the key of a witness, `name+id+base64`', (value) => {
  const parts = verifierKeyText(value);
  if (parts === null) return { problem: `got \`${value}\`` };
  if (parts.type !== COSIGNATURE_TYPE)
    return { problem: `it is a key of type ${parts.type}, cosignatures have type 4` };
  return parts.id === parts.ownId
    ? value
    : { problem: `it has the id \`${parts.id}\`, but its key has \`${parts.ownId}\`` };
});

/** Reads the section `ledger`. */
export const ledgerSection = (folder: string) =>
  section<LedgerFields>({
    folder: optional(pathIn(folder), null),
    name: optional(logName, 'main'),
    key: optional(pathIn(folder), null),
    checkpoints: optional(pathIn(folder), null),
    witnesses: optional(listed(section<LedgerWitness>({ url: witnessUrl, key: witnessKey })), []),
    witnessSeconds: optional(integer(5, 86_400), 60),
    witnessed: optional(pathIn(folder), null),
    others: optional(listed(pathIn(folder)), []),
    segmentMiB: optional(integer(1, 16_384), 256),
    segmentHours: optional(integer(1, 8_760), 24),
    retainGiB: optional(integer(1, 65_536), null),
    retainDays: optional(integer(1, 36_500), 400),
    copies: optional(integer(1, MAX_COPIES), null),
    index: optional(bool, true),
  });

/** The section with all defaults filled in; those of paths are beside the state file. */
export function ledgerConfigOf(
  fields: LedgerFields,
  { state, durability }: { readonly state: string; readonly durability: 'quorum' | 'managed' | 'single' },
): LedgerConfig {
  const beside = (name: string): string => join(dirname(state), name);
  const folder = fields.folder ?? beside('ledger');
  return Object.freeze({
    folder,
    name: fields.name,
    keyFile: fields.key ?? beside('ledger-key.pem'),
    checkpointFile: fields.checkpoints ?? beside('checkpoints.txt'),
    witnesses: fields.witnesses,
    witnessEveryMs: fields.witnessSeconds * 1_000,
    witnessedFile: fields.witnessed ?? beside('witnessed.txt'),
    // The list may include our own folder, so that all processes can have the same list.
    others: fields.others.filter((other) => other !== folder),
    segment: { maxBytes: fields.segmentMiB * MIB, maxAgeMs: fields.segmentHours * HOUR_MS },
    retain: {
      maxBytes: fields.retainGiB === null ? null : fields.retainGiB * GIB,
      maxAgeMs: fields.retainDays * DAY_MS,
    },
    copies: fields.copies ?? (durability === 'single' ? 1 : 2),
    index: fields.index,
  });
}
