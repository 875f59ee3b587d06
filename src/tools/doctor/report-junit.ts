import { xmlElement, xmlText } from '../../core/runtime/xml-text.ts';
import type { CheckResult, DoctorReport } from './report.ts';

/**
 * A report as JUnit XML: a suite for each category, a case for each check. A case fails by its errors and warnings; what could not be
 * examined is an error of a suite of its own.
 *
 * @see https://github.com/testmoapp/junitxml
 */
export function reportJunit({ results, unread }: DoctorReport): string {
  const groups = Map.groupBy(results, ({ category }) => category);
  const suites = [...groups].map(([category, own]) => suiteXml(category, own.map(caseXml)));
  const lost = unread.map((message, index) => ({
    isFailed: false,
    xml: xmlElement('testcase', { classname: 'examined', name: `source ${index + 1}` }, [
      xmlElement('error', { message }, []),
    ]),
  }));
  if (lost.length > 0) suites.push(suiteXml('examined', lost, lost.length));
  return `<?xml version="1.0" encoding="UTF-8"?>\n${xmlElement('testsuites', { name: 'remit doctor' }, suites)}`;
}

interface CaseXml {
  readonly isFailed: boolean;
  readonly xml: string;
}

function suiteXml(name: string, cases: readonly CaseXml[], errors = 0): string {
  const failures = cases.filter(({ isFailed }) => isFailed).length;
  const counts = { tests: String(cases.length), failures: String(failures), errors: String(errors) };
  return xmlElement(
    'testsuite',
    { name, ...counts },
    cases.map(({ xml }) => xml),
  );
}

function caseXml({ category, findings, title }: CheckResult): CaseXml {
  const failed = findings.filter(({ level }) => level !== 'info');
  const failures = failed.map(({ code, fix, level, message, see, where }) =>
    xmlElement('failure', { type: code, message: `${where}: ${message}` }, [
      xmlText(`${level} ${code} at ${where}: ${message}\nfix: ${fix}\nsee: ${see}`),
    ]),
  );
  return { isFailed: failed.length > 0, xml: xmlElement('testcase', { classname: category, name: title }, failures) };
}
