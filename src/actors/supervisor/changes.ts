// Waiting for something to become true of the cluster: whoever changes it says so, and whoever waits looks again.

export class Changes {
  readonly #checks = new Set<() => void>();

  /** Something has changed. */
  tell(): void {
    for (const check of [...this.#checks]) check();
  }

  /** `mostMs`: resolves then in any case. */
  until(condition: () => boolean, mostMs: number = Number.POSITIVE_INFINITY): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout | undefined;
      const end = (): void => {
        clearTimeout(timer);
        this.#checks.delete(check);
        resolve();
      };
      const check = (): void => {
        if (condition()) end();
      };
      this.#checks.add(check);
      if (Number.isFinite(mostMs)) timer = setTimeout(end, mostMs);
    });
  }
}
