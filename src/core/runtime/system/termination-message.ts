/** Why a process ended, in the file that Kubernetes shows. */
import { writeFile } from 'node:fs/promises';

/** Names the file for {@link tellTermination}. */
export const TERMINATION_MESSAGE = 'REMIT_TERMINATION_MESSAGE';
/** The kubelet reads at most 4,096 bytes, and a character can take more than one byte. */
const MAX_CHARACTERS = 2_048;

/**
 * Writes why a process ended that was not ready into the file of `REMIT_TERMINATION_MESSAGE`, if set. In Kubernetes that is
 * `/dev/termination-log`, whose text `kubectl describe pod` shows. Never rejects.
 *
 * @see https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
 */
export async function tellTermination(
  environment: Readonly<Record<string, string | undefined>>,
  why: string,
): Promise<void> {
  const file = environment[TERMINATION_MESSAGE];
  if (file !== undefined && file !== '') await writeFile(file, why.slice(0, MAX_CHARACTERS)).catch(() => undefined);
}
