import { describe, expect, it } from '@jest/globals';
import { doctorOptionsFrom } from '../../../src/cli/doctor-options.ts';
import type { Check } from '../../../src/tools/doctor/check.ts';
import { codes } from '../../../src/tools/doctor/codes.ts';
import { reportJson } from '../../../src/tools/doctor/report-json.ts';
import { reportJunit } from '../../../src/tools/doctor/report-junit.ts';
import { reportLines } from '../../../src/tools/doctor/report-text.ts';
import { countsOf, exitCodeOf, reportOf } from '../../../src/tools/doctor/report.ts';
import type { Finding } from '../../../src/tools/doctor/finding.ts';
import type { Collected } from '../../../src/tools/doctor/facts.ts';
import { suppressionFrom } from '../../../src/tools/doctor/suppression.ts';
import { isProblem } from '../../../src/core/runtime/problem.ts';

const finding = (given: Partial<Finding> = {}): Finding => ({
  code: 'envoy.never-asked',
  where: 'listener/agents',
  message: 'not asked',
  fix: 'add it',
  ...given,
});

const check = (...found: readonly Finding[]): Check => ({ category: 'envoy', title: 'is asked', run: () => found });

const read = (given: Partial<Collected> = {}): Collected => ({
  facts: {},
  examined: ['an Envoy'],
  unread: [],
  parts: [],
  ...given,
});

const rules = (...written: readonly string[]) => ({
  only: null,
  suppressions: written.map(suppressionFrom).flatMap((one) => (isProblem(one) ? [] : [one])),
});

const textOf = (report: ReturnType<typeof reportOf>, isVerbose = false): string =>
  reportLines(report, { isVerbose }).join('\n');

describe('a report of the doctor', () => {
  it('says what was examined, each finding with fix and page, and the counts', () => {
    expect(textOf(reportOf([check(finding()), check()], [read()], rules()))).toBe(`examined an Envoy

envoy
  × listener/agents: not asked  [envoy.never-asked]
      fix: add it
      see: remit help fix/doctor/envoy#envoynever-asked
  √ is asked

1 error, 0 warnings, 1 passed`);
  });

  it('hides infos, counts a check with nothing else as passed, and shows them with -v', () => {
    const report = reportOf([check(finding({ level: 'info' }))], [read()], rules());
    expect(textOf(report)).toContain('  √ is asked\n\n0 errors, 0 warnings, 1 passed, 1 hidden: -v shows it');
    expect(textOf(report, true)).toContain('  i listener/agents: not asked');
    expect(exitCodeOf(report, 'warning')).toBe(0);
  });

  it.each([
    ['nothing found', [], 'warning', 0],
    ['an error', [finding()], 'error', 1],
    ['a warning', [finding({ level: 'warning' })], 'error', 0],
    ['a warning that fails', [finding({ level: 'warning' })], 'warning', 2],
  ] as const)('exits by the worst finding: %s', (_name, found, failLevel, code) => {
    expect(exitCodeOf(reportOf([check(...found)], [read()], rules()), failLevel)).toBe(code);
  });

  it('exits 3 if something could not be examined, and names it', () => {
    const report = reportOf([check()], [read({ unread: ['Envoy at `x` did not answer'] })], rules());
    expect(exitCodeOf(report, 'error')).toBe(3);
    expect(textOf(report)).toContain('× not examined: Envoy at `x` did not answer');
    expect(textOf(report)).toContain('1 passed, 1 not examined');
    expect(reportJunit(report)).toContain('<error message="Envoy at `x` did not answer"/>');
  });

  it('exits 3 if no check had anything to examine', () => {
    expect(exitCodeOf(reportOf([{ ...check(), run: () => null }], [read()], rules()), 'error')).toBe(3);
  });

  it.each([
    ['its place', 'envoy.never-asked=listener/agents', 0],
    ['a pattern', 'envoy.never-asked=list*/*nts', 0],
    ['any place', 'envoy.never-asked=*', 0],
    ['another place', 'envoy.never-asked=listener/agent', 1],
    ['a pattern that overlaps', 'envoy.never-asked=listener/agents*s', 1],
  ])('suppresses by %s', (_name, written, errors) => {
    const report = reportOf([check(finding())], [read()], rules(written));
    expect(countsOf(report).error).toBe(errors);
    expect(report.suppressed).toBe(1 - errors);
    expect(report.unmatched).toEqual(errors === 0 ? [] : [written]);
    expect(textOf(report).includes(`--suppress ${written} matched no finding`)).toBe(errors === 1);
  });

  it('obeys no name of what it examines', () => {
    const hostile = finding({ where: 'listener/\u001b[2J\u009b\u202e"<&>\n× fake', message: ']]>\u0000\ud800' });
    const report = reportOf([check(hostile)], [read({ examined: ['a\u001b]0;x\u0007\nb'] })], rules());
    // oxlint-disable-next-line no-control-regex -- matches control characters on purpose
    const control = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/;
    expect(textOf(report)).not.toMatch(control);
    expect(textOf(report).split('\n')).toHaveLength(8);
    expect(reportJunit(report)).not.toMatch(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/); // oxlint-disable-line no-control-regex -- on purpose
    expect(reportJunit(report)).toContain('listener/?[2J?\u202e&quot;&lt;&amp;&gt;&#10;× fake');
    expect(JSON.parse(JSON.stringify(reportJson(report)))).toMatchObject({
      errors: 1,
      examined: ['a\u001b]0;x\u0007\nb'],
    });
  });
});

describe('the options of the doctor', () => {
  it.each([
    [['--only', 'envoi'], 'got `envoi`'],
    [['--suppress', 'envoy.never-aksed=x'], 'did you mean `envoy.never-asked`?'],
    [['--suppress', 'envoy.never-asked'], '`envoy.never-asked=*` suppresses it everywhere'],
    [['--fail-level', 'info'], '--fail-level is `error` or `warning`'],
    [['--wait', 'soon'], '--wait is a duration'],
    [['-o', 'yaml'], '-o is one of text, json, junit'],
    [['--json', '-o', 'junit'], 'two output formats'],
    [['--envoy', 'unix:admin.sock'], 'expected the admin address of an Envoy'],
    [['--envoy', 'https://envoy:9901'], 'expected the admin address of an Envoy'],
    [['--canary', 'ftp://x'], '--canary is an `https:` URL'],
    [['--canary', 'https://u:p@x'], '--canary is an `https:` URL'],
    [['--canary', 'https://x', '--cert', 'a'], '--cert and --key belong together'],
    [['--canary', 'https://x', '--connect-to', 'x'], '--connect-to is `host:port`'],
    [['--cert', 'a'], '--cert belongs to --canary'],
    [['extra'], 'unexpected argument `extra`'],
  ])('refuses %j', (args, problem) => {
    expect(doctorOptionsFrom(args)).toEqual({ problem: expect.stringContaining(problem) });
  });

  it('look for Envoy if the usual hosts have its admin interface', () => {
    const endpoints = ['unix:/run/remit-envoy/admin.sock', '127.0.0.1:15000', '127.0.0.1:19000', '127.0.0.1:9901'];
    expect(doctorOptionsFrom([])).toMatchObject({ envoys: endpoints.map((endpoint) => ({ endpoint })) });
    expect(doctorOptionsFrom(['-f', 'x'])).toMatchObject({ envoys: [], files: ['x'] });
  });

  it('reads them', () => {
    expect(
      doctorOptionsFrom(['--envoy', '[::1]:9901', '--wait', '2m', '--only', 'envoy', '--junit', '-v']),
    ).toMatchObject({
      envoys: [{ endpoint: '[::1]:9901', socketPath: null }],
      waitMs: 120_000,
      only: new Set(['envoy']),
      format: 'junit',
      isVerbose: true,
    });
  });
});

describe('the codes of the doctor', () => {
  it('are words, each in a category', () => {
    expect([...codes.keys()].filter((code) => !/^[a-z-]+\.[a-z0-9-]+$/.test(code))).toEqual([]);
  });
});
