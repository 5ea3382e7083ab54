package Reference;

# The command tables of the modules, and the reference in the documentation:
# for docs.t, which holds one to the other, and for "build.sh directives".
#
#     my $r = Reference->new($top);
#
#     $r->{code}{NAME}       { contexts => [...], block => 1, modules => {...} }
#     $r->{variables}{NAME}  the module
#     $r->{reference}{NAME}  entries: { syntax => [...], default => '...',
#                              contexts => [...], inherits => '...',
#                              since => '...', example => '...', text => '...',
#                              page => 'doc/reference.md' }
#     $r->{strange}          flags of a table that have no name here
#     $r->{pages}{NAME}      the texts

use strict;
use warnings;

my %contexts = (
    NGX_MAIN_CONF                   => 'main',
    NGX_HTTP_MAIN_CONF              => 'http',
    NGX_HTTP_SRV_CONF               => 'server',
    NGX_HTTP_LOC_CONF               => 'location',
    NGX_HTTP_LIF_CONF               => 'if in location',
    NGX_HTTP_SIF_CONF               => 'if in server',
    NGX_HTTP_UPS_CONF               => 'upstream',
    NGX_HTTP_AGGREGATE_CONF         => 'aggregate',
    NGX_HTTP_AGGREGATE_BACKEND_CONF => 'backend',
    NGX_HTTP_BREAKER_POLICY_CONF    => 'breaker_policy',
);


sub new {
    my ($class, $top) = @_;

    my $self = bless {
        top => $top, code => {}, variables => {}, strange => [],
        reference => {}, pages => {},
    }, $class;

    for my $file ("$top/README.md", glob "$top/doc/*.md") {
        $self->{pages}{ $file =~ s{^\Q$top\E/}{}r } = slurp($file);
    }

    $self->read_sources;
    $self->read_reference;

    return $self;
}


sub slurp {
    my ($file) = @_;

    open my $in, '<:raw', $file or die "$file: $!\n";
    local $/;
    return scalar <$in>;
}


# the command tables and the tables of variables
sub read_sources {
    my ($self) = @_;
    my $top = $self->{top};

    for my $file (glob "$top/common/*.c $top/ngx_http_*_module/*.c "
                       . "$top/ngx_http_*_module/*/*.c")
    {
        my ($module) = $file =~ m{/(ngx_http_\w+_module)/};
        my $text = slurp($file);
        $text =~ s{/\*.*?\*/}{}gs;

        while ($text =~ /^(?:static\ )?ngx_command_t\s+\w+\[\]\ =\ \{
                         (.*?)^\};/gmsx)
        {
            $self->read_commands($module, $1);
        }

        while ($text =~ /^static\ ngx_http_variable_t\s+\w+\[\]\ =\ \{
                         (.*?)^\};/gmsx)
        {
            for my $name ($1 =~ /ngx_string\("([^"]+)"\)/g) {
                $self->{variables}{$name} = $module;
            }
        }
    }

    return;
}


sub read_commands {
    my ($self, $module, $table) = @_;
    my $code = $self->{code};

    while ($table =~ /ngx_string\("([^"]+)"\),\s*([A-Z0-9_|\s]+),/g) {
        my ($name, $flags) = ($1, $2);

        $code->{$name}{modules}{$module} = 1;

        for my $flag (split /[|\s]+/, $flags) {
            if ($flag =~ /^NGX_CONF_/) {
                $code->{$name}{block} = 1 if $flag eq 'NGX_CONF_BLOCK';
            } elsif ($contexts{$flag}) {
                push @{ $code->{$name}{contexts} }, $contexts{$flag};
            } elsif ($flag =~ /^NGX_HTTP_(AGGREGATE_\w+)_CONF$/) {
                push @{ $code->{$name}{contexts} }, lc $1;
            } else {
                push @{ $self->{strange} }, "$name $flag";
            }
        }
    }

    return;
}


# "### name", then a block with Syntax, Default, Context and so on; and the text
sub read_reference {
    my ($self) = @_;

    for my $page (sort keys %{ $self->{pages} }) {
        my $text = $self->{pages}{$page};

        while ($text =~ /^\#\#\#+[ ]`?([a-z_]+)`?\n\n
                         ```text\n(Syntax:.*?)^```$
                         (.*?)(?=^\#|\z)/gmsx)
        {
            my ($name, $block, $says) = ($1, $2, $3);
            my (%entry, $key);

            for my $line (split /\n/, $block) {
                ($key, $line) = (lc $1, $2) if $line =~ /^(\w+):\s*(.*)$/;
                $line =~ s/^\s+//;
                push @{ $entry{$key} }, $line;
            }

            push @{ $self->{reference}{$name} }, {
                syntax   => $entry{syntax} || [],
                default  => join(' ', @{ $entry{default} || [] }),
                contexts => [ split /,\s*/, join ' ',
                              @{ $entry{context} || [] } ],
                inherits => join(' ', @{ $entry{inherits} || [] }),
                since    => join(' ', @{ $entry{since} || [] }),
                example  => join("\n", @{ $entry{example} || [] }),
                text     => $says,
                page     => $page,
            };
        }
    }

    return;
}

1;
