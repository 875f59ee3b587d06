import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { KUBERNETES_VERSION } from '../parts/cache.ts';

/** The folder of the chart. */
export const chartFolder = resolve(import.meta.dirname, '../../deploy/chart');

const casesFolder = join(import.meta.dirname, 'cases');

/** The values the chart is rendered with, by name. */
export const cases: readonly string[] = readdirSync(casesFolder)
  .map((file) => file.replace(/\.yaml$/, ''))
  .sort();

/** The file with the values of a case. */
export const caseFile = (name: string): string => join(casesFolder, `${name}.yaml`);

const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
const RELEASE = ['remit', chartFolder, '--namespace', 'remit', '--kube-version', KUBERNETES_VERSION];

/** What a command printed, and its exit code. Never rejects. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. */
export const ran = (program: string, args: readonly string[], cwd: string = chartFolder): Promise<Ran> =>
  promisify(execFile)(program, [...args], { cwd, maxBuffer: MAX_OUTPUT_BYTES }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({ code, stdout, stderr }),
  );

/** `helm template` of the chart, installed as `remit` in the namespace `remit`. */
export const template = (helm: string, args: readonly string[] = []): Promise<Ran> =>
  ran(helm, ['template', ...RELEASE, ...args]);

/** The same, which must succeed. */
export async function mustTemplate(helm: string, args: readonly string[] = []): Promise<string> {
  const { code, stdout, stderr } = await template(helm, args);
  if (code !== 0) throw new Error(`helm template failed: ${stderr}`);
  return stdout;
}

/** An object of Kubernetes, as far as tests read it. */
export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Record<string, string> };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: unknown;
}

/** The objects of a rendered chart. */
export const objectsOf = (rendered: string): readonly KubernetesObject[] =>
  parseAllDocuments(rendered)
    .map((document) => document.toJS() as KubernetesObject | null)
    .filter((object) => object !== null);
