import type { CaseResult, SuiteResult } from './run-suites.ts';

/** Name of the suite for unlisted attempts. */
const UNLISTED = 'what no case lists';

/**
 * A result as JUnit XML: one suite per file, and one for what no case lists. Characters that XML cannot represent become `?`.
 *
 * @see https://github.com/testmoapp/junitxml
 */
export function junitXml({ cases, unlisted }: SuiteResult): string {
  const suites = [...Map.groupBy(cases, ({ file }) => file)].map(([file, own]) => suiteXml(file, own.map(caseXml)));
  const allows = (unlisted?.allowed ?? []).map(({ agent, what, policyIds }) => ({
    status: 'failed' as const,
    xml: element('testcase', { classname: UNLISTED, name: `${agent} ${what}` }, [
      element('failure', { message: `allowed by ${policyIds.join(', ')}` }, []),
    ]),
  }));
  const none = { status: 'passed' as const, xml: element('testcase', { classname: UNLISTED, name: 'is denied' }, []) };
  if (unlisted !== null) suites.push(suiteXml(UNLISTED, allows.length > 0 ? allows : [none]));
  return `<?xml version="1.0" encoding="UTF-8"?>\n${element('testsuites', { name: 'remit policy test' }, suites)}\n`;
}

interface CaseXml {
  readonly status: CaseResult['status'];
  readonly xml: string;
}

function suiteXml(name: string, cases: readonly CaseXml[]): string {
  const countOf = (status: CaseResult['status']): string => String(cases.filter((one) => one.status === status).length);
  const counts = { tests: String(cases.length), failures: countOf('failed'), skipped: countOf('skipped') };
  return element(
    'testsuite',
    { name, ...counts },
    cases.map(({ xml }) => xml),
  );
}

function caseXml({ file, line, name, status, messages }: CaseResult): CaseXml {
  const message = messages.join('; ');
  const inner = {
    passed: [],
    failed: [element('failure', { message }, [escaped(`${file}:${line}: ${message}`)])],
    skipped: [element('skipped', { message }, [])],
  };
  return { status, xml: element('testcase', { classname: file, name, file, line: String(line) }, inner[status]) };
}

function element(name: string, attributes: Readonly<Record<string, string>>, inner: readonly string[]): string {
  const written = Object.entries(attributes).map(([key, value]) => ` ${key}="${escaped(value)}"`);
  const start = `<${name}${written.join('')}`;
  return inner.length === 0 ? `${start}/>` : `${start}>\n${inner.join('\n')}\n</${name}>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
};

/** @see https://www.w3.org/TR/xml/#charsets */
const escaped = (text: string): string =>
  text
    .toWellFormed()
    // oxlint-disable-next-line no-control-regex -- matches control characters on purpose
    .replaceAll(/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]/g, '?')
    .replaceAll(/[\t\n\r]/g, (blank) => `&#${blank.charCodeAt(0)};`)
    .replaceAll(/[&<>"']/g, (sign) => ENTITIES[sign] ?? '?');
