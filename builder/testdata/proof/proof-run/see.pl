# Writes down all that it sees of the project.
use Cwd;
my $may = open(my $new, '>', 'new') ? 'may' : 'may not';
open(my $out, '>', '/etc/proof-saw') or die $!;
print $out "in ", getcwd(), " as $0, WORD=$ENV{WORD}, ", "$may write\n";
sub see {
    my ($path) = @_;
    my $mode = (lstat $path)[2];
    if (-l _) { print $out "$path -> ", readlink($path), "\n"; return }
    printf $out "%s %o", $path, $mode & 07777;
    if (-d _) {
        print $out "\n";
        opendir(my $dir, $path) or die $!;
        see("$path/$_") for sort grep { !/^\.\.?$/ } readdir $dir;
        return;
    }
    open(my $in, '<', $path) or die $!;
    print $out ' ', join('|', map { chomp; $_ } <$in>), "\n";
}
see('/tmp/imgbuild/project');
close $out or die $!;
