import { dirname, join } from 'node:path';
import { integer, listOf, optional, section, text } from './fields.ts';
import { pathIn } from './values.ts';

/** Where the ledger is and how long it is kept. */
export interface LedgerConfig {
  /** The folder of its segments. Default `ledger` beside the state file. */
  readonly folder: string;
  /** Tells the ledgers of one trust domain apart: part of the name that is signed. Default `main`. */
  readonly name: string;
  /** Ed25519 key that signs its checkpoints, PKCS#8 PEM, made where there is none. Default `ledger-key.pem` beside the state file. */
  readonly keyFile: string;
  /** Each checkpoint is appended here too: best on another disk. Default `checkpoints.txt` beside the state file. */
  readonly checkpointFile: string;
  /** Folders of the ledgers of all processes that share the state file: the timeline of a task is read from them too. Default none. */
  readonly others: readonly string[];
  /** A new segment is begun at this size or age. Default 256 MiB, 24 hours. */
  readonly segment: { readonly maxBytes: number; readonly maxAgeMs: number };
  /** The oldest segments are given up beyond this size of all, or at this age. Default: `null`, half of the disk; 400 days. */
  readonly retain: { readonly maxBytes: number | null; readonly maxAgeMs: number };
}

/** The section `ledger` as it is written; `null` is the default: beside the state file, and half of the disk. */
export interface LedgerFields {
  readonly folder: string | null;
  readonly name: string;
  readonly key: string | null;
  readonly checkpoints: string | null;
  readonly others: readonly string[];
  readonly segmentMiB: number;
  readonly segmentHours: number;
  readonly retainGiB: number | null;
  readonly retainDays: number;
}

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const logName = text<string>('a name of 1 to 64 letters, digits, `.`, `_` and `-`', (value) =>
  /^[A-Za-z0-9._-]{1,64}$/.test(value) ? value : { problem: 'it is not' },
);

/** Reads the section `ledger`. */
export const ledger = (folder: string) =>
  section<LedgerFields>({
    folder: optional(pathIn(folder), null),
    name: optional(logName, 'main'),
    key: optional(pathIn(folder), null),
    checkpoints: optional(pathIn(folder), null),
    others: optional(listOf(pathIn(folder)), []),
    segmentMiB: optional(integer(1, 16_384), 256),
    segmentHours: optional(integer(1, 8_760), 24),
    retainGiB: optional(integer(1, 65_536), null),
    retainDays: optional(integer(1, 36_500), 400),
  });

/** What the section stands for in full, with what it does not name beside the state file. */
export function ledgerConfigOf(fields: LedgerFields, state: string): LedgerConfig {
  const beside = (name: string): string => join(dirname(state), name);
  const folder = fields.folder ?? beside('ledger');
  return Object.freeze({
    folder,
    name: fields.name,
    keyFile: fields.key ?? beside('ledger-key.pem'),
    checkpointFile: fields.checkpoints ?? beside('checkpoints.txt'),
    // So that one list can stand in the configurations of all.
    others: fields.others.filter((other) => other !== folder),
    segment: { maxBytes: fields.segmentMiB * MIB, maxAgeMs: fields.segmentHours * HOUR_MS },
    retain: {
      maxBytes: fields.retainGiB === null ? null : fields.retainGiB * GIB,
      maxAgeMs: fields.retainDays * DAY_MS,
    },
  });
}
