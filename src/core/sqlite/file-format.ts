import { DatabaseSync } from 'node:sqlite';
import { scalar } from './scalar.ts';
import { storeFailure } from '../runtime/store-failure.ts';
import type { StoreFailure } from '../runtime/store-failure.ts';

/** A migration from a schema version to the next. */
export interface SchemaStep {
  /** The version it starts from. It ends at `from + 1`. */
  readonly from: number;
  /** Changes the tables. Runs in the transaction that also sets the version. */
  readonly run: (db: DatabaseSync) => void;
}

/** What identifies a file of one kind and its schema. */
export interface FileFormat {
  /** Its name in messages, such as `state file`. */
  readonly name: string;
  /** SQLite's `application_id`, so that a database of another program is not mistaken for ours. */
  readonly applicationId: number;
  /** The schema version that this build writes. */
  readonly version: number;
  /** Older versions that this build reads but does not write. Default none. */
  readonly alsoRead?: readonly number[];
  /** The migrations to `version`, in order and without a gap. Default none. */
  readonly steps?: readonly SchemaStep[];
  /** What the operator does with a file that is too old for this build, worded as the end of a sentence. */
  readonly ifOlder: string;
  /** Whether free pages of a new file can be returned to the disk (`PRAGMA incremental_vacuum`). Default `false`. */
  readonly isShrinking?: boolean;
}

/** Whether a file has no tables yet. */
export const isBlank = (db: DatabaseSync): boolean =>
  scalar(db, 'PRAGMA user_version') === 0 && scalar(db, 'SELECT count(*) FROM sqlite_schema') === 0;

/** The schema version of a file with our `application_id`; a failure for a file of another program. */
export function versionIn(db: DatabaseSync, path: string, { applicationId, name }: FileFormat): number | StoreFailure {
  return scalar(db, 'PRAGMA application_id') === applicationId
    ? Number(scalar(db, 'PRAGMA user_version'))
    : storeFailure('unusable', `\`${path}\` is not a ${name} of Remit`);
}

/** Whether this build has migrations from that version. */
const isMigratable = (version: number, format: FileFormat): boolean =>
  version < format.version && (format.steps ?? []).some(({ from }) => from === version);

/** The failure for a file whose version this build does not accept, with the way out. */
export function versionFailure(version: number, path: string, format: FileFormat): StoreFailure {
  const { name, version: own, ifOlder } = format;
  const isLater = version > own;
  const wayOut = isLater
    ? 'run that build or a later build'
    : isMigratable(version, format)
      ? '`remit serve` of this build brings it up to date when it starts, and keeps a copy'
      : ifOlder;
  const build = isLater ? 'a later build' : 'an earlier build';
  return storeFailure(
    isLater ? 'later' : 'unusable',
    `${name} \`${path}\` was written by ${build} of Remit: it has schema version ${version}, this build has version ${own}: ${wayOut}`,
  );
}

/**
 * How a file's schema differs from what `create` makes; `null` if it does not. A foreign index, view or trigger could make
 * queries return something else than what the tables hold.
 */
export function tableProblem(
  db: DatabaseSync,
  { name }: FileFormat,
  create: (db: DatabaseSync) => void,
): string | null {
  const own = new DatabaseSync(':memory:');
  try {
    create(own);
    const [wanted, found] = [schemaLines(own), schemaLines(db)];
    const other = [
      ...found.filter((line) => !wanted.includes(line)),
      ...wanted.filter((line) => !found.includes(line)),
    ];
    return other[0] === undefined ? null : `its schema is not that of a ${name}: ${other[0]}`;
  } finally {
    own.close();
  }
}

/** The statements of a schema, one per line. */
const schemaLines = (db: DatabaseSync): readonly string[] =>
  db
    .prepare('SELECT type, name, tbl_name, sql FROM sqlite_schema')
    .all()
    .map((row) => Object.values(row).join(' '));
