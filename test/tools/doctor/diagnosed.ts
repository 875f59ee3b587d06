import { doctorCommand } from '../../../src/cli/doctor.ts';
import { commandRun } from '../../builders/command-run.ts';

/** A finding in the JSON report. */
export interface FoundFinding {
  readonly code: string;
  readonly level: string;
  readonly where: string;
  readonly message: string;
  readonly fix: string;
  readonly see: string;
}

/** What `remit doctor --json` printed. */
export interface Diagnosis {
  readonly exit: number;
  readonly err: string;
  readonly report: {
    readonly examined: readonly string[];
    readonly not_examined: readonly string[];
    readonly errors: number;
    readonly warnings: number;
  };
  readonly findings: readonly FoundFinding[];
}

/** Runs `remit doctor` with arguments that include `--json`. */
export async function diagnosed(args: readonly string[]): Promise<Diagnosis> {
  const { code: exit, out, err } = await commandRun(doctorCommand.run, args);
  const report = JSON.parse(out.join('\n') || '{}');
  const findings = (report.checks ?? []).flatMap((check: { findings: readonly FoundFinding[] }) => check.findings);
  return { exit, err: err.join('\n'), report, findings };
}
