/** `remit doctor`: find why calls are not checked, or why none gets through. */
import { writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { bundleOf } from '../tools/doctor/bundle.ts';
import { checks } from '../tools/doctor/checks.ts';
import { collectCanary } from '../tools/doctor/collect/canary.ts';
import { collectEnvoy } from '../tools/doctor/collect/envoy-admin.ts';
import { collectFiles } from '../tools/doctor/collect/host-files.ts';
import { collectRemit } from '../tools/doctor/collect/remit.ts';
import { isOfRemit } from '../tools/doctor/codes.ts';
import type { Collected } from '../tools/doctor/facts.ts';
import { reportJson } from '../tools/doctor/report-json.ts';
import { reportJunit } from '../tools/doctor/report-junit.ts';
import { reportLines } from '../tools/doctor/report-text.ts';
import { GUIDE_URL } from '../core/config/guide.ts';
import { DOCTOR_EXIT, exitCodeOf, reportOf } from '../tools/doctor/report.ts';
import type { DoctorReport } from '../tools/doctor/report.ts';
import { isProblem } from '../core/runtime/problem.ts';
import { systemPorts } from '../core/runtime/ports.ts';
import type { Command, CommandIo } from './command.ts';
import { doctorMcp } from './doctor-mcp.ts';
import { DOCTOR_HELP, doctorOptionsFrom } from './doctor-options.ts';
import type { DoctorOptions } from './doctor-options.ts';

/** `remit doctor`. */
export const doctorCommand: Command = { name: 'doctor', help: DOCTOR_HELP, run: doctor };

type Io = Pick<CommandIo, 'out' | 'err' | 'environment'>;

/** The wait between two examinations with `--wait`. */
const PAUSE_MS = 2_000;

async function doctor(args: readonly string[], io: Io): Promise<number> {
  if (args.some((word) => word === '--mcp' || word.startsWith('--mcp='))) return doctorMcp(args, io);
  const options = doctorOptionsFrom(args);
  if (isProblem(options)) {
    io.err(`remit doctor: ${options.problem}`);
    return DOCTOR_EXIT.couldNotRun;
  }
  const { collected, report } = await examination(options, io);
  printReport(report, options, io);
  if (options.bundle !== null && !(await wroteBundle(options.bundle, { collected, report }, io)))
    return DOCTOR_EXIT.couldNotRun;
  return exitCodeOf(report, options.failLevel);
}

interface Examination {
  readonly collected: readonly Collected[];
  readonly report: DoctorReport;
}

/** Examines once; with `--wait` again every 2 s, until nothing fails or the time is over. */
async function examination(options: DoctorOptions, io: Io): Promise<Examination> {
  const endsMs = systemPorts.monotonicMs() + options.waitMs;
  for (;;) {
    const collected = await Promise.all(collectorsOf(options, io).map((collect) => collect()));
    const report = reportOf(checks, collected, { ...options, guide: io.environment[GUIDE_URL] });
    const isOver = systemPorts.monotonicMs() + PAUSE_MS > endsMs;
    if (isOver || exitCodeOf(report, options.failLevel) === DOCTOR_EXIT.clean) return { collected, report };
    await delay(PAUSE_MS);
  }
}

/** What is read, by what the options name. */
function collectorsOf(options: DoctorOptions, { environment }: Io): readonly (() => Promise<Collected>)[] {
  const { canary, config, envoys, files, only, remit, remitCluster } = options;
  const isOfHost = only === null || [...only].some((category) => !isOfRemit(category));
  const isWanted = only !== null && [...only].some(isOfRemit);
  // Files and calls may be of another host, so with them the Remit of this machine is examined only if an option names it.
  const isHere = config !== null || remit !== null || (files.length === 0 && canary === null);
  const isExamined = isWanted || (only === null && isHere);
  return [
    ...(envoys.length === 0 || !isOfHost ? [] : [() => collectEnvoy({ admins: envoys, remitCluster })]),
    ...(files.length === 0 ? [] : [() => collectFiles(files, remitCluster)]),
    ...(canary === null ? [] : [() => collectCanary(canary, systemPorts)]),
    ...(isExamined
      ? [() => collectRemit({ admin: remit, config, isWanted, environment, nowMs: systemPorts.nowMs() })]
      : []),
  ];
}

function printReport(report: DoctorReport, { format, isVerbose }: DoctorOptions, io: Io): void {
  if (format === 'json') io.out(JSON.stringify(reportJson(report)));
  else if (format === 'junit') io.out(reportJunit(report));
  else for (const line of reportLines(report, { isVerbose })) io.out(line);
}

async function wroteBundle(file: string, { collected, report }: Examination, io: Io): Promise<boolean> {
  const parts = [
    { name: 'report.txt', text: `${reportLines(report, { isVerbose: true }).join('\n')}\n` },
    { name: 'report.json', text: JSON.stringify(reportJson(report)) },
    ...collected.flatMap((one) => one.parts),
  ];
  try {
    await writeFile(file, bundleOf(parts, Math.floor(systemPorts.nowMs() / 1_000)), { mode: 0o600, flag: 'wx' });
    io.err(`remit doctor: wrote ${parts.length} files to ${file}; look at them before you share it`);
    return true;
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    io.err(`remit doctor: the bundle \`${file}\` could not be written: ${String(code)}`);
    return false;
  }
}
