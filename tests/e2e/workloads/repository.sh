#!/bin/bash
# git and the tools around it, in the workspace. Runs inside a Sandbox.
set -euo pipefail
mkdir -p /work/git && cd /work/git
git init --quiet origin
cd origin
for number in 1 2 3 4 5; do
    seq "$number" 2000 >"file-$number"
    git add . && git commit --quiet -m "change $number"
done
printf '#!/bin/sh\necho hook ran >>/work/git/hook\n' >.git/hooks/pre-commit
chmod +x .git/hooks/pre-commit
sed -i s/1/one/ file-1 && git commit --quiet --all -m hooked
git gc --quiet && git fsck --strict
git worktree add --quiet ../tree -b side && git worktree list | grep -q side
cd .. && git clone --quiet origin copy && git -C copy log --oneline | wc -l | grep -qx 6
grep -qx "hook ran" hook
tar -cz copy | tar -tz >/dev/null
cp -a copy again && diff -r copy again
diff <(sort copy/file-1) <(sort again/file-1)
( flock 9; rg --files copy | xargs wc -l >/dev/null ) 9>lock
echo works
