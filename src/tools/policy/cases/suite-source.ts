import { join } from 'node:path';
import type { SourceFinding } from '../../../core/action/catalog/finding.ts';
import { systemDisk } from '../../../core/policy/loading/source.ts';
import type { PolicyDisk } from '../../../core/policy/loading/source.ts';
import { caseFileFrom } from './case-file.ts';
import { cedarTestsFrom } from './cedar-tests.ts';
import type { CedarTest } from './cedar-tests.ts';
import type { TestCase } from './test-case.ts';
import { errorCode } from '../../../core/runtime/system/error-code.ts';

/** The suites of a policy folder. */
export interface Suites {
  /** Number of files. */
  readonly files: number;
  readonly cases: readonly TestCase[];
  readonly cedarTests: readonly CedarTest[];
}

const CASES_SUFFIX = '.test.yaml';
const CEDAR_SUFFIX = '.cedartests.json';
const SUBFOLDERS = ['policies', 'tests'];
const MAX_FILES = 1000;
const MAX_FILE_BYTES = 8 * 1024 * 1024;

/**
 * Reads the suites of a policy folder: every `*.test.yaml` and `*.cedartests.json` in it and in its subfolders `policies` and
 * `tests`, by name. All or nothing. Limits: 1,000 files; 1 MiB for a YAML file, 8 MiB for a JSON file.
 */
export async function readSuites(
  folder: string,
  disk: PolicyDisk = systemDisk,
): Promise<Suites | { readonly findings: readonly SourceFinding[] }> {
  const names = await suiteNames(folder, disk);
  const findings: SourceFinding[] = [];
  const cases: TestCase[] = [];
  const cedarTests: CedarTest[] = [];
  if (names.length > MAX_FILES) findings.push(at(folder, `a policy folder has at most ${MAX_FILES} suites`));
  for (const name of names.slice(0, MAX_FILES)) {
    const file = join(folder, name);
    const text = await textFrom(file, disk);
    if (typeof text !== 'string') findings.push(text);
    else if (name.endsWith(CASES_SUFFIX)) take(caseFileFrom(text, file), cases, findings);
    else take(cedarTestsFrom(text, file), cedarTests, findings);
  }
  return findings.length > 0 ? { findings } : { files: names.length, cases, cedarTests };
}

/** The texts of the suites of a policy folder, by name; those that cannot be read are left out. */
export async function suiteTexts(folder: string, disk: PolicyDisk = systemDisk): Promise<ReadonlyMap<string, string>> {
  const texts = new Map<string, string>();
  for (const name of await suiteNames(folder, disk)) {
    const text = await textFrom(join(folder, name), disk);
    if (typeof text === 'string') texts.set(name, text);
  }
  return texts;
}

function take<T>(
  read: readonly T[] | { readonly findings: readonly SourceFinding[] },
  into: T[],
  findings: SourceFinding[],
): void {
  if ('findings' in read) findings.push(...read.findings);
  else into.push(...read);
}

const isSuite = (name: string): boolean =>
  !name.startsWith('.') && (name.endsWith(CASES_SUFFIX) || name.endsWith(CEDAR_SUFFIX));

async function suiteNames(folder: string, disk: PolicyDisk): Promise<readonly string[]> {
  const entries = await disk.list(folder);
  const names = entries.filter(isSuite);
  for (const subfolder of SUBFOLDERS.filter((name) => entries.includes(name))) {
    const within = await disk.list(join(folder, subfolder)).catch(() => []);
    names.push(...within.filter(isSuite).map((name) => `${subfolder}/${name}`));
  }
  return names.sort();
}

async function textFrom(file: string, disk: PolicyDisk): Promise<string | SourceFinding> {
  try {
    const bytes = await disk.read(file, MAX_FILE_BYTES);
    if (bytes === null) return at(file, `the file must be a regular file of at most ${MAX_FILE_BYTES} bytes`);
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    const code = errorCode(error) ?? 'it must be UTF-8';
    return at(file, `the file could not be read: ${code}`);
  }
}

const at = (file: string, message: string): SourceFinding => ({ file, line: 1, column: 1, message, help: null });
