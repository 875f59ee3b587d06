/** Promises that resolve when the test releases them, in any order: they stand for calls to another thread or machine. */
export class HeldPromises {
  #waiting: { readonly name: string; readonly go: () => void }[] = [];

  /** Waiting calls, in order. */
  get waiting(): readonly string[] {
    return this.#waiting.map(({ name }) => name);
  }

  /** A proxy whose named methods run only when they are released. */
  hold<T extends object>(target: T, names: readonly (keyof T & string)[]): T {
    const held = names.map((name) => [
      name,
      async (...input: unknown[]): Promise<unknown> => {
        await new Promise<void>((go) => this.#waiting.push({ name, go }));
        // All held methods return promises.
        return Reflect.apply(target[name] as (...input: unknown[]) => unknown, target, input);
      },
    ]);
    return { ...target, ...Object.fromEntries(held) };
  }

  /** Releases one call, by its position among the waiting ones. */
  release(at = 0): void {
    const [next] = this.#waiting.splice(at, 1);
    next?.go();
  }
}
