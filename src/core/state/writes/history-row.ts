import type { TaskHistory } from '../../task/history.ts';

/** The stored history of a family of tasks; `null` if it cannot be read: then it is not known what the policies forbid. */
export function storedHistory(
  version: unknown,
  { actions, labels }: { readonly actions: unknown; readonly labels: unknown },
): TaskHistory | null {
  const [readActions, readLabels] = [namesFrom(actions), namesFrom(labels)];
  return readActions === null || readLabels === null
    ? null
    : { version: Number(version), actions: readActions, labels: readLabels };
}

function namesFrom(text: unknown): readonly string[] | null {
  try {
    const read: unknown = JSON.parse(String(text));
    return Array.isArray(read) && read.every((name) => typeof name === 'string') ? read : null;
  } catch {
    return null;
  }
}
