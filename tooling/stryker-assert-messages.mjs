// Mutants in the messages of assertions say nothing about the protocol: what is asserted is tested, the wording is not.

const assertMessages = {
  shouldIgnore(path) {
    const call = path.parentPath;
    const isMessage =
      path.key === 1 &&
      call?.isCallExpression() === true &&
      call.get('callee').isIdentifier({ name: 'assert' });
    return isMessage ? 'the message of an assertion' : undefined;
  },
};

export const strykerPlugins = [{ kind: 'Ignore', name: 'assert-messages', value: assertMessages }];
