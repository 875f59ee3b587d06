import { xmlElement, xmlText } from '../../../core/runtime/xml-text.ts';
import type { CaseResult, SuiteResult } from './run-suites.ts';

/** Name of the suite for unlisted attempts. */
const UNLISTED = 'what no case lists';

/**
 * A result as JUnit XML: one suite per file, and a suite for what no case lists. Characters that XML cannot represent become `?`.
 *
 * @see https://github.com/testmoapp/junitxml
 */
export function junitXml({ cases, unlisted }: SuiteResult): string {
  const suites = [...Map.groupBy(cases, ({ file }) => file)].map(([file, own]) => suiteXml(file, own.map(caseXml)));
  const allows = (unlisted?.allowed ?? []).map(({ agent, what, policyIds }) => ({
    status: 'failed' as const,
    xml: xmlElement('testcase', { classname: UNLISTED, name: `${agent} ${what}` }, [
      xmlElement('failure', { message: `allowed by ${policyIds.join(', ')}` }, []),
    ]),
  }));
  const none = {
    status: 'passed' as const,
    xml: xmlElement('testcase', { classname: UNLISTED, name: 'is denied' }, []),
  };
  if (unlisted !== null) suites.push(suiteXml(UNLISTED, allows.length > 0 ? allows : [none]));
  return `<?xml version="1.0" encoding="UTF-8"?>\n${xmlElement('testsuites', { name: 'remit policy test' }, suites)}\n`;
}

interface CaseXml {
  readonly status: CaseResult['status'];
  readonly xml: string;
}

function suiteXml(name: string, cases: readonly CaseXml[]): string {
  const countOf = (status: CaseResult['status']): string => String(cases.filter((one) => one.status === status).length);
  const counts = { tests: String(cases.length), failures: countOf('failed'), skipped: countOf('skipped') };
  return xmlElement(
    'testsuite',
    { name, ...counts },
    cases.map(({ xml }) => xml),
  );
}

function caseXml({ file, line, name, status, messages }: CaseResult): CaseXml {
  const message = messages.join('; ');
  const inner = {
    passed: [],
    failed: [xmlElement('failure', { message }, [xmlText(`${file}:${line}: ${message}`)])],
    skipped: [xmlElement('skipped', { message }, [])],
  };
  return { status, xml: xmlElement('testcase', { classname: file, name, file, line: String(line) }, inner[status]) };
}
