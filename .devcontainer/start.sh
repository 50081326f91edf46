#!/bin/sh
# Runs in the container whenever it starts (postStartCommand): devtool as the
# code says now, then the stack, unless it runs already. It ends well in any
# case, since after a failure the editor would skip what comes next.
cd "$(dirname "$0")/.." || exit
go install ./devtool && devtool up --detach && exit
echo
echo 'The stack is not up. Mend what stands above, then type:'
echo '  go install ./devtool && devtool up --detach'
