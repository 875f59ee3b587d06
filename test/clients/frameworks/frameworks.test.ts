import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { describeWith, envoyPart } from '../../parts.ts';
import type { Handed } from '../scripted-model.ts';
import { FORMS, type FormsDomain, type ServiceTask, startFormsDomain } from './forms-domain.ts';
import { type JobModel, startJobModel } from './job-model.ts';
import { JOB_PROGRAMS, type JobEnd, jobsEnded, withEnvoy } from './programs.ts';
import { areAllowed, callsOf, formFor, readingOf } from './reading.ts';

/** A task for each form, and a second one beside the first, whose calls may not mix with those of the others. */
const JOBS = [...FORMS.map((form) => ({ form, job: `job-${form}` })), { form: FORMS[0], job: 'job-beside' }];

let running: Promise<readonly [FormsDomain, JobModel]> | undefined;
const started = (): Promise<readonly [FormsDomain, JobModel]> =>
  (running ??= Promise.all([startFormsDomain(envoyPart().found ?? ''), startJobModel()]));
afterAll(async () => {
  const parts = await running;
  for (const part of parts ?? []) await part.close();
});

/** The cells of the page's row that begins with this name. */
async function rowOf(name: string): Promise<readonly string[]> {
  const page = await readFile(resolve(import.meta.dirname, '../../../deploy/guide/reference/clients.md'), 'utf8');
  const row = page.split('\n').find((line) => line.startsWith(`| ${name} |`) && line.split(' | ').length === 7);
  return (row ?? '').split('|').map((cell) => cell.trim());
}

// Issue 44, points 7 and 8.
describe.each(JOB_PROGRAMS.map((program) => [program.name, program] as const))('a service with %s', (name, program) => {
  describeWith(withEnvoy(program), 'in tasks of `remit agent`', ([at]) => {
    let scratch: string;
    let tasks: ReadonlyMap<string, ServiceTask>;
    let ends: readonly JobEnd[];
    let err: string;
    let handed: ReadonlyMap<string, readonly Handed[]>;
    let ran: readonly (readonly [name: string, task: string | undefined])[];

    beforeAll(async () => {
      const [domain, model] = await started();
      scratch = await mkdtemp(join(tmpdir(), 'remit-jobs-'));
      const before = domain.server.ran.length;
      const declared = JOBS.map(async ({ form, job }) => [job, await domain.declare(form)] as const);
      tasks = new Map(await Promise.all(declared));
      const jobs = Array.from(tasks, ([job, { url }]) => ({ job, url, calls: callsOf(job) }));
      const got = model.follow(new Map(jobs.map(({ job, calls }) => [job, calls])));
      [ends, err] = await jobsEnded(await program.command(at, scratch), { jobs, modelUrl: model.url });
      handed = new Map(
        JOBS.map(({ job }) => [job, ends.find((end) => end.job === job)?.handed ?? got().get(job) ?? []]),
      );
      ran = domain.server.ran
        .slice(before)
        .map(([, args], index) => [String((args as { name?: unknown }).name), domain.server.ranFor[before + index]]);
      for (const task of tasks.values()) await task.end();
    });
    afterAll(() => rm(scratch, { recursive: true, force: true }));

    it('is answered what each of its tasks may do', () => {
      const without = JOBS.filter(({ job }) => !areAllowed(handed.get(job) ?? []));
      expect([without, without.length === 0 ? '' : [ends, handed, err.slice(-3_000)]]).toEqual([[], '']);
    });

    it('has no call in the task of another, and none that was denied', () => {
      expect(ran.filter(([job, task]) => tasks.get(job)?.id !== task)).toEqual([]);
    });

    it('has models that read of a denial what the page says', async () => {
      const readings = new Map(FORMS.map((form) => [form, readingOf(handed.get(`job-${form}`) ?? [])]));
      const [, , , ...cells] = await rowOf(name);
      expect(cells.slice(0, -1)).toEqual([...readings.values(), formFor(readings)]);
      expect(readingOf(handed.get('job-beside') ?? [])).toBe(readings.get(FORMS[0]));
    });
  });
});
