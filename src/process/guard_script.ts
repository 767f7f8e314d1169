/**
 * The guard's program, for any POSIX shell (dash, bash, busybox). Arguments: the server's token, the folder of its
 * cgroup or nothing, the folder where that one was made.
 *
 * It reads `+PID:START` and `-PID:START` for leaders, and `quit`. At end-of-file without `quit` the server is dead, and
 * everything that it started is killed: what is in the cgroup, what is in a leader's session or group, what carries
 * the token. A session whose leader's pid belongs to a process with another start time is somebody else's.
 * It uses grep and rmdir, and no `sleep`: reading /proc takes long enough.
 */
export const GUARD_SCRIPT: string = `
trap '' HUP INT TERM QUIT PIPE
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
token=$1 cgroup=$2 origin=$3
leaders=' '
quit=
while IFS= read -r line; do
  case $line in
  quit) quit=1; break ;;
  +*) leaders="$leaders\${line#+} " ;;
  -*) one=\${line#-}
    case $leaders in
    *" $one "*) leaders="\${leaders%%" $one "*} \${leaders#*" $one "}" ;;
    esac ;;
  esac
done

stat() {
  line=
  { while IFS= read -r part || [ -n "$part" ]; do line=$line$part; done; } < "/proc/$1/stat" || return 1
  set -- \${line##*) }
  state=$1 group=$3 session=$4 start=\${20}
  [ -n "$start" ]
} 2> /dev/null

strike() {
  [ "$1" != $$ ] && kill -KILL "$1" 2> /dev/null && found=1
}

round() {
  found=
  if [ -n "$cgroup" ]; then
    for file in "$cgroup"/*/cgroup.kill; do
      case $file in */guard/cgroup.kill) ;; *) echo 1 > "$file" ;; esac
    done
    for file in "$cgroup"/main/cgroup.procs "$cgroup"/aside/cgroup.procs "$cgroup"/limited-*/cgroup.procs; do
      [ -e "$file" ] && while read -r pid; do strike "$pid"; done < "$file"
    done
  fi 2> /dev/null
  if [ "$leaders" != ' ' ]; then
    mine=' '
    for one in $leaders; do
      pid=\${one%:*}
      if ! stat "$pid" || [ "$start" = "\${one#*:}" ]; then
        mine="$mine$pid "
        kill -KILL "-$pid" 2> /dev/null
      fi
    done
    for folder in /proc/[0-9]*; do
      pid=\${folder#/proc/}
      stat "$pid" || continue
      [ "$state" = Z ] && continue
      case $mine in *" $session "* | *" $group "*) strike "$pid" ;; esac
    done
  fi
  for file in $(grep -lszF -e "$token" /proc/[0-9]*/environ); do
    pid=\${file#/proc/}
    strike "\${pid%/environ}"
  done
}

if [ -z "$quit" ]; then
  rounds=0
  found=1
  while [ -n "$found" ] && [ $rounds -lt 40 ]; do
    rounds=$((rounds + 1))
    round
  done
fi
if [ -n "$cgroup" ] && [ -z "$quit" ]; then
  echo $$ > "$origin/cgroup.procs"
  rmdir "$cgroup"/*/ "$cgroup"
fi 2> /dev/null
exit 0
`;
