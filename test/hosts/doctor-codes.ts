import { diagnosed } from '../doctor/diagnosed.ts';

/** Tests give checks more time than the shipped files do, which the doctor finds. */
const OF_THE_TEST = 'envoy.long-timeout';

/** The codes that `remit doctor` finds in a running Envoy, but those of the level info; sorted, each once. */
export async function doctorCodes(admin: string): Promise<readonly string[]> {
  const { findings } = await diagnosed(['--envoy', admin, '--json']);
  const codes = findings.filter(({ level, code }) => level !== 'info' && code !== OF_THE_TEST).map(({ code }) => code);
  return [...new Set(codes)].sort();
}
