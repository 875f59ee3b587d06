import { DatabaseSync } from 'node:sqlite';
import { scalar } from './scalar.ts';
import { storeFailure } from './store-failure.ts';
import type { StoreFailure } from './store-failure.ts';

/** Brings a file from one version of its schema to the next. */
export interface SchemaStep {
  /** The version it starts from; it ends at the next one. */
  readonly from: number;
  /** Changes the tables, within a transaction that also sets the version. */
  readonly run: (db: DatabaseSync) => void;
}

/** What a file of ours is known by. */
export interface FileFormat {
  /** What messages call it: `state file`. */
  readonly name: string;
  /** Marks the file as ours, so that no other database is taken for one. */
  readonly applicationId: number;
  /** The version of the schema that this build writes. */
  readonly version: number;
  /** Older versions that are read, and not written. Default none. */
  readonly alsoRead?: readonly number[];
  /** How a file is brought to `version` from an older one, in their order, without a gap. Default: not at all. */
  readonly steps?: readonly SchemaStep[];
  /** What an operator does with a file that is too old for this build, as the end of a sentence. */
  readonly ifOlder: string;
  /** Whether a new file can give pages that are free back to the disk (`PRAGMA incremental_vacuum`). Default `false`. */
  readonly isShrinking?: boolean;
}

/** Whether the tables of a file are not made yet. */
export const isBlank = (db: DatabaseSync): boolean =>
  scalar(db, 'PRAGMA user_version') === 0 && scalar(db, 'SELECT count(*) FROM sqlite_schema') === 0;

/** The version of a file with our mark; a failure where it is of another program. */
export function versionIn(db: DatabaseSync, path: string, { applicationId, name }: FileFormat): number | StoreFailure {
  return scalar(db, 'PRAGMA application_id') === applicationId
    ? Number(scalar(db, 'PRAGMA user_version'))
    : storeFailure('unusable', `\`${path}\` is not a ${name} of Remit`);
}

/** Whether a file of that version can be brought up to date by this build. */
const isMigratable = (version: number, format: FileFormat): boolean =>
  version < format.version && (format.steps ?? []).some(({ from }) => from === version);

/** Why a file of that version is refused, with the way out. */
export function versionFailure(version: number, path: string, format: FileFormat): StoreFailure {
  const { name, version: own, ifOlder } = format;
  const isLater = version > own;
  const wayOut = isLater
    ? 'run that build or a later one'
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
 * How the tables of a file are not those that `create` makes; `null` where they are. What is read by another schema, an index, a view
 * or a trigger of somebody else's, need not be what is there.
 */
export function tableProblem(
  db: DatabaseSync,
  { name }: FileFormat,
  create: (db: DatabaseSync) => void,
): string | null {
  const own = new DatabaseSync(':memory:');
  try {
    create(own);
    const [wanted, found] = [linesOf(own), linesOf(db)];
    const other = [
      ...found.filter((line) => !wanted.includes(line)),
      ...wanted.filter((line) => !found.includes(line)),
    ];
    return other[0] === undefined ? null : `its schema is not that of a ${name}: ${other[0]}`;
  } finally {
    own.close();
  }
}

/** What is in a schema, a line each. */
const linesOf = (db: DatabaseSync): readonly string[] =>
  db
    .prepare('SELECT type, name, tbl_name, sql FROM sqlite_schema')
    .all()
    .map((row) => Object.values(row).join(' '));
