import { readFileSync } from 'node:fs';
import { freshCedar } from '../../src/core/policy/cedar.ts';
import type { Cedar } from '../../src/core/policy/cedar.ts';
import type { Compile } from '../../src/core/policy/loading/compile.ts';
import { policySetFrom } from '../../src/core/policy/loading/load.ts';
import type { PolicySet } from '../../src/core/policy/loading/load.ts';
import { prove } from '../../src/core/policy/loading/proof.ts';
import type { PolicySource, SourceFile } from '../../src/core/policy/loading/source.ts';
import { must } from './must.ts';

const file = (name: string, text: string): SourceFile => ({ name, file: `p/${name}`, text });

/** The shipped base schema. */
export const baseSchema = readFileSync('cedar-policies/base.cedarschema', 'utf8');
/** The shipped catalog. */
export const exampleCatalog = readFileSync('cedar-policies/actions.yaml', 'utf8');

/** A policy folder `p` in memory: the shipped catalog and schema, one policy file `a.cedar`, entities where given. */
export const folderWith = (
  policies: string,
  others: {
    readonly catalog?: string;
    /** Texts of further files of the catalog, by their names in `actions`. */
    readonly catalogs?: Readonly<Record<string, string>>;
    readonly base?: string;
    readonly entities?: string;
    readonly enforcement?: string;
    readonly limits?: string;
    readonly descriptorSets?: PolicySource['descriptorSets'];
  } = {},
): PolicySource => ({
  folder: 'p',
  catalogs: [
    file('actions.yaml', others.catalog ?? exampleCatalog),
    ...Object.entries(others.catalogs ?? {}).map(([name, text]) => file(`actions/${name}`, text)),
  ],
  descriptorSets: others.descriptorSets ?? new Map(),
  schema: file('base.cedarschema', others.base ?? baseSchema),
  policies: [file('a.cedar', policies)],
  entities: others.entities === undefined ? [] : [file('e.cedarentities.json', others.entities)],
  ...(others.enforcement === undefined ? {} : { enforcement: file('enforcement.yaml', others.enforcement) }),
  ...(others.limits === undefined ? {} : { limits: file('limits.yaml', others.limits) }),
});

/** The engine that proves here. A new instance takes 10 ms, and files of tests prove hundreds of sets. */
let engine: Cedar | null = null;

/** Proves on this thread: quicker. A trap, which kills the instance, is for its test alone. */
export const compileHere: Compile = async (input, onRead) => {
  engine ??= freshCedar();
  try {
    return prove(input, engine, onRead);
  } catch (error) {
    engine = null;
    throw error;
  }
};

/** The set of a folder that must load. */
export async function mustLoad(source: PolicySource, compile: Compile = compileHere): Promise<PolicySet> {
  return must(await policySetFrom(source, { compile }));
}

/** What is found in a folder, a line each; `[]` where it loads. */
export async function findingsOf(source: PolicySource, compile: Compile = compileHere): Promise<readonly string[]> {
  const set = await policySetFrom(source, { compile });
  const findings = 'findings' in set ? set.findings : [];
  return findings.map((found) => `${found.file}:${found.line}:${found.column}: ${found.message}`);
}
