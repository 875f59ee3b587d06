import { diagnosed } from '../tools/doctor/diagnosed.ts';

/** Tests give checks more time than the shipped files do, which the doctor finds. */
const OF_THE_TEST = /long-timeout$/;

/** The codes that `remit doctor` finds in a running Envoy, but those of the level info; sorted, each once. */
export const doctorCodes = (admin: string): Promise<readonly string[]> => codesOf(['--envoy', admin]);

/** The same of files of a host. */
export const fileCodes = (...files: readonly string[]): Promise<readonly string[]> =>
  codesOf(files.flatMap((file) => ['-f', file]));

/** Whether the doctor finds that trailers of requests pass: of the level info. */
export async function passesTrailers(admin: string): Promise<boolean> {
  const { findings } = await diagnosed(['--envoy', admin, '--json']);
  return findings.some(({ code }) => code === 'envoy.request-trailers');
}

async function codesOf(args: readonly string[]): Promise<readonly string[]> {
  const { findings } = await diagnosed([...args, '--json']);
  const codes = findings.filter(({ level, code }) => level !== 'info' && !OF_THE_TEST.test(code));
  return [...new Set(codes.map(({ code }) => code))].sort();
}
